"""Expressions of JavaScript that list what cannot be read on a page."""

# Texts whose contrast with the page is below 4.5 to 1 (WCAG 2.2, 1.4.3). Colours of texts and of the page are opaque.
CONTRASTS = """
(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (colour) => channels(colour).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const texts = "p, li, td, th, a, h1, h2, h3, summary, figcaption, label, svg text";
  return [...document.querySelectorAll(texts)].filter((one) => {
    if (/^on-/.test(one.getAttribute("class"))) return false; // on a field of its own colour
    const ink = light(one instanceof SVGElement ? getComputedStyle(one).fill : getComputedStyle(one).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05) < 4.5;
  }).map((one) => one.textContent);
})()
"""
