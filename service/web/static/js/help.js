// Which keys there are.

import { element } from "./element.js";

const KEYS = [
  ["n", "Write a new command"],
  ["/", "Find in the list, or in the output"],
  ["j k ↓ ↑", "Down and up the list"],
  ["Enter", "Open the job"],
  ["o", "To the output, which scrolls with ↑ ↓ PgUp PgDn Home End"],
  ["Esc", "Back to the list"],
  ["t", "Light or dark"],
  ["?", "This help"],
];

const dialog = element(
  "dialog.help",
  { "aria-labelledby": "help-title" },
  element(
    "form",
    { method: "dialog" },
    element("h2", { id: "help-title" }, "Keys"),
    element("dl", {}, KEYS.flatMap(([keys, what]) => [
      element("dt", {}, keys.split(" ").map((key) => element("kbd", {}, key))),
      element("dd", {}, what),
    ])),
    element("button", { autofocus: true }, "Close"),
  ),
);

export function showHelp() {
  if (!dialog.isConnected) document.body.append(dialog);
  if (!dialog.open) dialog.showModal();
}
