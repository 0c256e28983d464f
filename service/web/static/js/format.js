// Figures for people: short, with their unit, and of even width where they stand in columns.

/** As the command line has it: two units at most. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours >= 24) return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
  return hours ? `${hours}h ${two(minutes)}m` : `${minutes}m ${two(rest)}s`;
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

/** When something was, as short as it is clear: the time of day, with the date when it isn't today's. */
export function clock(rfc3339) {
  const at = new Date(rfc3339);
  return isToday(at) ? timeOfDay(at) : `${date(at)} ${timeOfDay(at)}`;
}

/** The same for a narrow column: to the minute on other days. */
export function shortClock(rfc3339) {
  const at = new Date(rfc3339);
  if (isToday(at)) return timeOfDay(at);
  const isThisYear = at.getFullYear() === new Date().getFullYear();
  return isThisYear ? `${at.getDate()} ${MONTHS[at.getMonth()]} ${timeOfDay(at).slice(0, 5)}` : date(at);
}

/** The same to the millisecond. */
export function moment(rfc3339) {
  return `${clock(rfc3339)}.${String(new Date(rfc3339).getMilliseconds()).padStart(3, "0")}`;
}

/** How a job ended, in the words of the contract: its exit code, its signal, or else the reason. */
export function result(job) {
  if (["timeout", "output_limit", "spawn_error", "crash"].includes(job.reason)) return job.reason;
  if (job.signal !== null) return job.signal;
  if (job.exit_code !== null) return String(job.exit_code);
  return job.reason === null || job.reason === job.state ? "" : job.reason;
}

/** Seconds that a job has run, so far or in all; null before it starts. */
export function seconds(job, now = Date.now()) {
  if (job.duration !== null) return job.duration;
  if (job.state !== "running" || job.started_at === null) return null;
  return Math.max(0, (now - Date.parse(job.started_at)) / 1000);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function isToday(at) {
  return at.toDateString() === new Date().toDateString();
}

function date(at) {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

function timeOfDay(at) {
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function two(number) {
  return String(number).padStart(2, "0");
}
