// A command line as an array of arguments, and back. No shell is involved: quotes and backslashes
// group characters as sh(1) would have it, everything else means itself.

const SHELL_ONLY = /[|&;<>()$`*?#~]/;

/** Returns {words, error, isForShell}; isForShell: something unquoted that only a shell understands. */
export function split(text) {
  const words = [];
  let word = null;
  let isForShell = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "'" || character === '"') {
      const [content, end] = quoted(text, at);
      if (end === -1) return { words, isForShell, error: `the quote ${character} is not closed` };
      if (character === '"' && /[$`]/.test(content)) isForShell = true;
      word = (word ?? "") + content;
      at = end;
    } else if (character === "\\") {
      if (at + 1 === text.length) return { words, isForShell, error: "nothing stands after the last \\" };
      word = (word ?? "") + text[++at];
    } else if (/\s/.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      if (SHELL_ONLY.test(character)) isForShell = true;
      word = (word ?? "") + character;
    }
  }
  if (word !== null) words.push(word);
  return { words, isForShell, error: null };
}

/** The content of the quotes that open at `start`, and where they close (-1: nowhere). */
function quoted(text, start) {
  const quote = text[start];
  let content = "";
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === quote) return [content, at];
    if (quote === '"' && text[at] === "\\" && '"\\$`'.includes(text[at + 1] ?? " ")) at++;
    content += text[at];
  }
  return [content, -1];
}

/** The line that `split` reads as these words. */
export function join(words) {
  return words.map(quote).join(" ");
}

function quote(word) {
  if (word !== "" && !/[\s'"\\|&;<>()$`*?#~]/.test(word)) return word;
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** A command as one line to read: a shell's script stands for itself. */
export function readable(words) {
  return words.map((word) => (word !== "" && /^[^\s'"\\]+$/.test(word) ? word : quote(word))).join(" ");
}
