// Brings up the page: who is signed in, which part is shown, what keys do.

import { loadSession, signOut, whenSignedOut } from "./api.js";
import { element, mark, setText } from "./element.js";
import { showHelp } from "./help.js";
import { JobPage } from "./job_page.js";
import { Jobs } from "./jobs.js";
import { JobsPage } from "./jobs_page.js";
import { Live } from "./live.js";
import { attempt, install as installNotices, messageOf } from "./notice.js";
import { signInPage } from "./sign_in.js";
import * as theme from "./theme.js";

const ID = /^#\/jobs\/([0-9a-f-]{36})$/;

const place = element("div.place");
const light = element("span.live", { role: "status" });
const header = element(
  "header.top",
  {},
  element("a.brand", { href: "#/" }, mark(), "squall"),
  light,
  element("nav", {},
    element("button.quiet", { type: "button", title: "Keys (?)", click: showHelp }, "Keys"),
    element("button.quiet", { type: "button", title: "Light or dark (t)", click: theme.toggle }, "Theme"),
    element("button.quiet", { type: "button", click: () => attempt(signOut).then(showSignIn) }, "Sign out")),
);

let jobs = new Jobs();
let page = null;
let toFill = null; // a job whose spec goes into the form
let isConnected = false;

const live = new Live({
  changed: (job) => jobs.put(job),
  fresh: () => page.fresh?.(),
  connected(isIt) {
    isConnected = isIt;
    light.dataset.on = isIt;
    setText(light, isIt ? "live" : "reconnecting");
  },
});

const go = {
  job: (id) => (location.hash = `#/jobs/${id}`),
  list: () => (location.hash = "#/"),
  edit(job) {
    toFill = job;
    go.list();
  },
};

function show(next) {
  page?.close();
  page = next;
  place.replaceChildren(page.node);
  page.shown();
  document.title = `${page.title} · squall`;
  scrollTo(0, 0);
}

function route() {
  const id = ID.exec(location.hash)?.[1];
  show(id ? new JobPage(id, jobs, go) : new JobsPage(jobs, go.job));
  if (isConnected) page.fresh();
  if (!id && toFill) page.fill(toFill);
  toFill = null;
}

function showApp() {
  jobs = new Jobs();
  header.hidden = false;
  addEventListener("hashchange", route);
  route();
  live.open();
}

function showSignIn() {
  live.close();
  isConnected = false;
  removeEventListener("hashchange", route);
  header.hidden = true;
  show(signInPage(showApp));
}

function onKey(event) {
  const isTyping = event.target.closest("input, textarea, select, dialog") && !event.target.readOnly;
  if (isTyping || header.hidden || event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key === "Escape" && isTyping) event.target.blur();
    return;
  }
  const own = { "?": showHelp, t: theme.toggle }[event.key];
  own?.();
  if (own || (!event.defaultPrevented && page.key(event))) event.preventDefault();
}

async function start() {
  theme.apply();
  document.body.append(header, place);
  installNotices();
  header.hidden = true;
  whenSignedOut(showSignIn);
  addEventListener("keydown", onKey);
  try {
    if (await loadSession()) showApp();
    else showSignIn();
  } catch (error) {
    place.append(element("main.sign-in", {}, element("p.wrong", {}, messageOf(error))));
  }
}

start();
