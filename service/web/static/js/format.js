// Figures for people: short, with their unit, and of even width where they stand in columns.

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return hours ? `${hours} h ${two(minutes)} m` : `${minutes} m ${two(rest)} s`;
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count / 1000;
  while (value >= 999.5 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[0]}`;
}

export function count(number) {
  return number.toLocaleString("en-US");
}

/** The time of day, with the date when it isn't today's. */
export function clock(rfc3339) {
  const at = new Date(rfc3339);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

/** How a job ended, in a word. */
export function result(job) {
  if (job.reason === null) return "";
  const word = { timeout: "timeout", output_limit: "output limit", spawn_error: "not started", crash: "lost" }[job.reason];
  if (word) return word;
  if (job.signal !== null) return job.signal;
  return job.exit_code === null ? "" : String(job.exit_code);
}

/** Seconds that a job has run, so far or in all; null before it starts. */
export function seconds(job, now = Date.now()) {
  if (job.duration !== null) return job.duration;
  if (job.state !== "running" || job.started_at === null) return null;
  return Math.max(0, (now - Date.parse(job.started_at)) / 1000);
}

function two(number) {
  return String(number).padStart(2, "0");
}
