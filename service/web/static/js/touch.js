// A finger that moves up or down scrolls by lines; sideways is left to the browser.

/** `lineHeight()` in CSS pixels; `scroll(lines)` is called as the finger moves. */
export function scrollByTouch(node, lineHeight, scroll) {
  let last = 0;
  let rest = 0; // less than a line, kept for the next move
  const at = (event) => event.touches[0].clientY;
  node.addEventListener("touchstart", (event) => {
    last = at(event);
    rest = 0;
  }, { passive: true });
  node.addEventListener("touchmove", (event) => {
    rest += (last - at(event)) / lineHeight();
    last = at(event);
    const lines = Math.trunc(rest);
    rest -= lines;
    if (lines) scroll(lines);
  }, { passive: true });
}
