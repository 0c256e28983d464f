// Four small charts of the last minutes, each with its figure in large.

import uPlot from "/static/vendor/uplot/uPlot.esm.js";

import { element, setText } from "./element.js";
import { count, duration } from "./format.js";
import { WINDOW_S } from "./figures.js";
import * as theme from "./theme.js";

const STEP_S = 5;
const HEIGHT = 44;
const LATELY_S = 60;

const bars = uPlot.paths.bars({ size: [0.7, 8], align: 1 });
const steps = uPlot.paths.stepped({ align: 1 });

export class Charts {
  #figures;
  #tiles;
  #unsubscribe;

  constructor(figures) {
    this.#figures = figures;
    this.#tiles = {
      running: new Tile("Running", "running", [{ paths: steps, fill: true }], count),
      queued: new Tile("Queued", "queued", [{ paths: steps, fill: true }], count),
      ended: new Tile("Ended / min", "succeeded", [
        { paths: bars, fill: true, color: "failed" },
        { paths: bars, fill: true },
      ], count),
      median: new Tile("Median duration", "accent", [{}], duration),
    };
    this.node = element(
      "section.charts",
      { "aria-label": `The last ${WINDOW_S / 60} minutes` },
      Object.values(this.#tiles).map((tile) => tile.node),
    );
    this.#unsubscribe = theme.subscribe(() => this.draw());
  }

  draw() {
    const { times, running, queued, good, bad, median } = this.#figures.columns(STEP_S);
    const lately = this.#figures.ended(LATELY_S);
    const { value, of } = this.#figures.median();
    const { running: runs, queued: waits, ended, median: middle } = this.#tiles;
    this.tell();
    runs.show([times, running]);
    waits.show([times, queued]);
    // stacked: all of them behind, the good ones in front, so that the bad ones stick out on top
    ended.show([times, good.map((value, at) => value + bad[at]), good]);
    ended.tell(count(lately.count), lately.bad ? `${count(lately.bad)} failed or lost` : "");
    middle.show([times, median]);
    middle.tell(value === null ? "–" : duration(value), value === null ? "too few" : `of ${count(of)}`);
  }

  /** Say how many run and wait, between two drawings too. */
  tell() {
    this.#tiles.running.tell(count(this.#figures.running.size));
    this.#tiles.queued.tell(count(this.#figures.queued.size));
  }

  close() {
    this.#unsubscribe();
    for (const tile of Object.values(this.#tiles)) tile.close();
  }
}

class Tile {
  #figure = element("span.figure", {}, "–");
  #note = element("span.note");
  #place = element("div.plot", { "aria-hidden": "true" });
  #plot = null;
  #sizes = new ResizeObserver(() => this.#plot?.setSize(this.#size()));

  constructor(name, color, series, format) {
    this.color = color;
    this.series = series;
    this.format = format;
    this.node = element(
      "div.tile",
      { role: "group", "aria-label": name, "data-tone": color === "succeeded" ? "bad" : null },
      element("div.legend", {}, element("span.name", {}, name), this.#note),
      this.#figure,
      this.#place,
    );
  }

  tell(figure, note = "") {
    setText(this.#figure, figure);
    setText(this.#note, note);
  }

  show(data) {
    if (this.#plot) {
      this.#plot.setData(data);
    } else if (this.#place.clientWidth) {
      this.#plot = new uPlot(this.#options(), data, this.#place);
      this.#sizes.observe(this.#place);
    }
  }

  close() {
    this.#sizes.disconnect();
    this.#plot?.destroy();
  }

  #size() {
    return { width: this.#place.clientWidth, height: HEIGHT };
  }

  #options() {
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { show: false },
      axes: [{ show: false }, { show: false }],
      padding: [3, 0, 1, 0],
      scales: { x: { time: false }, y: { range: (_plot, _least, most) => [0, Math.max(most ?? 0, 0.001) * 1.05] } },
      series: [{}, ...this.series.map((given) => this.#line(given))],
    };
  }

  #line({ paths, fill = false, color = this.color }) {
    const stroke = () => ink(this.#place, color);
    return {
      paths,
      stroke,
      width: 1.5,
      fill: fill ? () => (paths === bars ? stroke() : faded(stroke())) : undefined,
      points: { show: false },
    };
  }
}

/** A colour of the style sheet as a canvas takes it. */
function ink(node, name) {
  node.dataset.ink = name;
  return getComputedStyle(node).color;
}

function faded(color) {
  return color.startsWith("rgb(") ? color.replace("rgb(", "rgba(").replace(")", ", 0.16)") : color;
}
