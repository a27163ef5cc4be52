// Elements of the page, made only of text: nothing that a node says becomes markup.

export type Attributes = Record<string, string | boolean | number | ((event: Event) => void)>;

export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false) element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

/** How long ago, in words. */
export function ago(time: number | null): string {
  if (time === null) return "never heard of";
  const seconds = Math.max(0, Math.round((Date.now() - time) / 1000));
  if (seconds < 2) return "heard just now";
  if (seconds < 120) return `heard ${seconds} s ago`;
  if (seconds < 7200) return `heard ${Math.round(seconds / 60)} min ago`;
  return `heard ${Math.round(seconds / 3600)} h ago`;
}

export function shown(value: number | null): string {
  return value === null ? "–" : String(Number(value.toPrecision(6)));
}
