// Brings up the page: who is signed in, which part is shown, what keys do.

import * as address from "./address.js";
import { loadSession, signOut, whenSignedOut } from "./api.js";
import { element, mark, setText } from "./element.js";
import { showHelp } from "./help.js";
import { JobPage } from "./job_page.js";
import { Jobs } from "./jobs.js";
import { JobsPage } from "./jobs_page.js";
import { Live } from "./live.js";
import { nothingPage } from "./nothing_page.js";
import { attempt, install as installNotices, messageOf } from "./notice.js";
import { signInPage } from "./sign_in.js";
import * as theme from "./theme.js";

const place = element("div.place");
const light = element("span.live", { role: "status" });
const header = element(
  "header.top",
  {},
  element("a.brand", { href: "/" }, mark(), "squall"),
  light,
  element("nav", {},
    element("button.quiet", { type: "button", title: "Keys (?)", click: showHelp }, "Keys"),
    element("button.quiet", { type: "button", title: "Light or dark (t)", click: theme.toggle }, "Theme"),
    element("button.quiet", { type: "button", click: leave }, "Sign out")),
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

function edit(job) {
  toFill = job;
  address.go(address.listAddress());
}

function show(next) {
  page?.close();
  page = next;
  place.replaceChildren(page.node);
  document.title = `${page.title} · squall`;
  page.shown();
  scrollTo(0, 0);
}

/** Bring what the address says; a list that stays the list only shows something else. */
function route() {
  const { name, id, query } = address.where();
  if (name === "list" && page instanceof JobsPage && !toFill) {
    page.moved(query);
    return;
  }
  if (name === "list") show(new JobsPage(jobs, query));
  else if (name === "job") show(new JobPage(id, jobs, edit));
  else show(nothingPage("There is nothing at this address.", location.pathname));
  page.node.querySelector("h1")?.focus({ preventScroll: true }); // where a screen reader goes on reading
  if (isConnected) page.fresh?.();
  if (name === "list" && toFill) page.fill(toFill);
  toFill = null;
}

function showApp() {
  jobs = new Jobs();
  header.hidden = false;
  route();
  live.open();
}

function showSignIn() {
  live.close();
  isConnected = false;
  header.hidden = true;
  show(signInPage(showApp));
}

/** What is under way ends first: without a session it would be refused. */
async function leave() {
  live.close();
  isConnected = false;
  header.hidden = true;
  show({ node: element("main"), title: "Signing out", shown() {}, close() {} });
  if (await attempt(signOut)) showSignIn();
  else showApp();
}

function onKey(event) {
  if (event.key === "f" && (event.ctrlKey || event.metaKey) && !header.hidden && page.find?.()) event.preventDefault();
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
  address.follow({ leave: () => page.leave?.(), arrive: () => header.hidden || route() });
  try {
    if (await loadSession()) showApp();
    else showSignIn();
  } catch (error) {
    place.append(element("main.sign-in", {}, element("p.wrong", {}, messageOf(error))));
  }
}

start();
