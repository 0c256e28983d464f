// A span of time: the last hour, day, ..., or between two moments.

import { element } from "./element.js";

const UNITS = { m: [60, "minute"], h: [3600, "hour"], d: [86_400, "day"], w: [604_800, "week"] };
const AGO = /^(\d{1,6})([mhdw])$/;
const PRESETS = ["1h", "24h", "7d", "30d"];

export class Span {
  #changed;
  #choice = element("select", { "aria-label": "When they were created", change: () => this.#choose() });
  #since = element("input", { type: "datetime-local", step: "1", "aria-label": "Created since", change: () => this.#changed() });
  #until = element("input", { type: "datetime-local", step: "1", "aria-label": "Created until", change: () => this.#changed() });
  #between = element("span.between", { hidden: true }, this.#since, "–", this.#until);

  /** `changed()` is called when another span is chosen. */
  constructor(changed) {
    this.#changed = changed;
    this.node = element("div.field.span", {}, element("span", { "aria-hidden": "true" }, "Created"), this.#choice, this.#between);
    this.read("", "");
  }

  /** Take over `since` and `until` of an address: RFC 3339, or `2h` for two hours ago. */
  read(since, until) {
    const isAgo = AGO.test(since) && !until;
    const shown = isAgo && !PRESETS.includes(since) ? [...PRESETS, since] : PRESETS;
    this.#choice.replaceChildren(
      element("option", { value: "" }, "any time"),
      ...shown.map((ago) => element("option", { value: ago }, `last ${words(ago)}`)),
      element("option", { value: "between" }, "between…"),
    );
    this.#choice.value = isAgo ? since : since || until ? "between" : "";
    this.#since.value = isAgo ? "" : local(since);
    this.#until.value = local(until);
    this.#between.hidden = this.#choice.value !== "between";
  }

  /** The parameters of an address. */
  get address() {
    const { since, until } = this.#choice.value === "between" ? this.times : { since: this.#choice.value };
    return Object.entries({ since, until }).filter(([, value]) => value);
  }

  /** `since` and `until` for the service, as of now. */
  get times() {
    if (this.#choice.value === "between") return { since: utc(this.#since.value), until: utc(this.#until.value) };
    const ago = AGO.exec(this.#choice.value);
    return ago ? { since: new Date(Date.now() - ago[1] * UNITS[ago[2]][0] * 1000).toISOString() } : {};
  }

  takes(time) {
    const { since, until } = this.times;
    const at = Date.parse(time);
    return (!since || at >= Date.parse(since)) && (!until || at < Date.parse(until));
  }

  #choose() {
    const isBetween = this.#choice.value === "between";
    this.#between.hidden = !isBetween;
    if (isBetween) this.#since.focus();
    this.#changed();
  }
}

function words(ago) {
  const [, count, unit] = AGO.exec(ago);
  return Number(count) === 1 ? UNITS[unit][1] : `${count} ${UNITS[unit][1]}s`;
}

/** RFC 3339 as a field of the browser takes it: local time to the second. */
function local(time) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function utc(time) {
  return time ? new Date(time).toISOString() : undefined;
}
