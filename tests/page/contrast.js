// Every text that is shown, with the contrast (WCAG 2.2) of its colour and what is painted behind it, where that is
// less than `least`. Colours are read from a canvas, so that each way to write one is understood.
(least) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  function rgba(color) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }

  function over([red, green, blue, alpha], below) {
    return [red, green, blue].map((value, at) => value * alpha + below[at] * (1 - alpha));
  }

  function ground(node) {
    if (node === null) return [255, 255, 255];
    const paint = rgba(getComputedStyle(node).backgroundColor);
    return paint[3] === 1 ? paint.slice(0, 3) : over(paint, ground(node.parentElement));
  }

  function luminance(color) {
    const [red, green, blue] = color.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function contrast(node, pseudo) {
    const behind = ground(node);
    const [color, opacity] = [getComputedStyle(node, pseudo).color, Number(getComputedStyle(node, pseudo).opacity)];
    const [red, green, blue, alpha] = rgba(color);
    const [one, other] = [over([red, green, blue, alpha * opacity], behind), behind].map(luminance);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  }

  function isShown(node) {
    const box = node.getBoundingClientRect();
    // one pixel is for screen readers; what is disabled need not be readable
    const isOut = node.closest(".hidden, .xterm-accessibility, .xterm-helpers, :disabled, option") !== null;
    return !isOut && box.width > 1 && box.height > 1 && node.checkVisibility({ opacityProperty: true });
  }

  const found = [];
  for (const node of document.body.querySelectorAll("*")) {
    if (!isShown(node)) continue;
    const text = [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data.trim()).join("");
    const shown = node.matches("input, textarea, select") ? node.value : text;
    if (shown) found.push({ text: shown.slice(0, 60), of: node.outerHTML.slice(0, 120), contrast: contrast(node) });
    if (node.placeholder) found.push({ text: node.placeholder, of: "placeholder", contrast: contrast(node, "::placeholder") });
  }
  return found.filter((each) => each.contrast < least);
}
