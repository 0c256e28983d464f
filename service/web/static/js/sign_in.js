// The page that everybody may see.

import { signIn } from "./api.js";
import { element, mark } from "./element.js";
import { messageOf } from "./notice.js";

/** `done()` is called once there is a session. */
export function signInPage(done) {
  const token = element("input", {
    type: "password", name: "token", id: "token", autocomplete: "current-password", required: true, spellcheck: "false",
  });
  const wrong = element("p.wrong", { role: "alert" });
  const button = element("button.primary", { type: "submit" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    wrong.textContent = "";
    try {
      await signIn(token.value);
      token.value = "";
      done();
    } catch (error) {
      wrong.textContent = error.status === 401 ? "This is not the token of this service." : messageOf(error);
      token.select();
    } finally {
      button.disabled = false;
    }
  };
  const node = element(
    "main.sign-in",
    {},
    element(
      "form",
      { submit },
      element("h1.brand", {}, mark(), "squall"),
      element("label", { for: "token" }, "Token"),
      token,
      wrong,
      button,
      element("p.hint", {}, element("code", {}, "squall token"), " prints it on the machine that runs squall."),
    ),
  );
  return { node, title: "Sign in", shown: () => token.focus(), close() {} };
}
