"use strict";
// Two layers of a picture, one over the other, with a border between them that moves.
{
  const RIGHT = [226, 230, 234], WRONG = [213, 94, 0], VOID = [150, 150, 150];
  const HIT = [2, 158, 115], MISSED = [222, 143, 5], FALSE = [122, 81, 149];
  const viewers = window.DecompressionStream ? [...document.querySelectorAll(".viewer")].map(build) : [];
  document.addEventListener("cells", (event) => viewers.forEach((one) => one.cells(event.detail)));

  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function build(root) {
    const data = JSON.parse(root.querySelector("script").textContent);
    const [picture, left, right, one] = ["Picture", "Left", "Right", "Class"].map(() => make("select"));
    const blend = make("input", { type: "checkbox" });
    const border = make("input", { type: "range", min: 0, max: 100, step: 1, value: 50 });
    const layers = ["under", "over"].map((side) => {
      const [photo, canvas] = [make("img", { alt: "", draggable: "false" }), make("canvas", { role: "img" })];
      return { photo, canvas, box: make("div", { class: `layer ${side}` }, photo, canvas) };
    });
    const line = make("div", { class: "border" });
    const stage = make("div", { class: "stage" }, ...layers.map((layer) => layer.box), line);
    const [words, colours] = [make("div", { class: "words", role: "status" }), make("ul", { class: "legend" })];
    const name = (text, control, kind = "") => make("label", { class: kind }, text, control);
    root.prepend(
      make("div", { class: "controls" }, name("Picture", picture), name("Left", left), name("Right", right),
        name("Class", one), name("Over the picture", blend, "check")),
      stage, name("Border between left and right", border, "slide"), words, colours,
    );

    picture.append(...data.shots.map((shot, place) => new Option(`${place + 1} of ${data.shots.length}: ${shot.name}`, place)));
    one.append(new Option("all", -1), ...data.classes.map(([text], place) => new Option(text, place)));
    let off = new Set();
    const maps = new Map();
    fill();
    left.value = "truth";
    right.value = [...right.options].find((option) => option.value.startsWith("prediction "))?.value ?? "photo";

    // What both sides can show; cells that are switched off are left out.
    function fill() {
      for (const side of [left, right]) {
        const before = side.value;
        const shown = data.cells.filter(([cell]) => !off.has(cell));
        const group = (label, kind) => {
          const made = make("optgroup", { label });
          made.append(...shown.map(([cell, text]) => new Option(text, `${kind} ${cell}`)));
          return made;
        };
        side.replaceChildren(new Option("picture", "photo"), new Option("truth", "truth"),
          group("Prediction", "prediction"), group("Errors", "errors"), new Option("share of cells wrong", "share"));
        side.value = before;
        if (side.selectedIndex < 0) side.value = "truth";
      }
    }

    async function unpack(text) {
      if (!maps.has(text)) {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
        maps.set(text, new Uint8Array(await new Response(stream).arrayBuffer()));
      }
      return maps.get(text);
    }

    // The colour of every pixel of a layer; null: see-through.
    async function colourer(shot, layer) {
      const [kind, ...rest] = layer.split(" ");
      const [cell, only, truth] = [rest.join(" "), Number(one.value), await unpack(shot.truth)];
      const color = (id) => data.classes[id]?.slice(1) ?? VOID;
      if (kind === "truth" || kind === "prediction") {
        const ids = kind === "truth" ? truth : await unpack(shot.predictions[cell]);
        return (at) => (ids[at] === data.void && kind === "truth" ? VOID : only < 0 || ids[at] === only ? color(ids[at]) : RIGHT);
      }
      if (kind === "errors") {
        const ids = await unpack(shot.predictions[cell]);
        return (at) => {
          if (truth[at] === data.void) return VOID;
          if (only < 0) return ids[at] === truth[at] ? RIGHT : WRONG;
          const [is, said] = [truth[at] === only, ids[at] === only];
          return is && said ? HIT : is ? MISSED : said ? FALSE : RIGHT;
        };
      }
      const shown = Object.keys(shot.predictions).filter((other) => !off.has(other));
      const found = await Promise.all(shown.map((other) => unpack(shot.predictions[other])));
      return (at) => {
        if (truth[at] === data.void) return VOID;
        const wrong = found.filter((ids) => (only < 0 ? ids[at] !== truth[at] : (ids[at] === only) !== (truth[at] === only)));
        const share = wrong.length / (found.length || 1);
        return share ? [250 - 230 * share, 190 - 180 * share, 120 - 60 * share] : RIGHT;
      };
    }

    let turn = 0;
    async function draw() {
      const now = ++turn;
      const shot = data.shots[Number(picture.value)];
      for (const side of [left, right]) {
        for (const option of side.querySelectorAll("optgroup option")) {
          option.disabled = !(option.value.replace(/^\S+ /, "") in shot.predictions);
        }
        if (side.selectedOptions[0].disabled) side.value = "truth";
      }
      const pixels = await Promise.all([left, right].map(async (side) => {
        if (side.value === "photo") return null;
        const [color, made] = [await colourer(shot, side.value), new ImageData(...shot.size)];
        for (let at = 0; at < shot.size[0] * shot.size[1]; at++) {
          made.data.set(color(at), 4 * at);
          made.data[4 * at + 3] = 255;
        }
        return made;
      }));
      if (now !== turn) return; // another choice was made meanwhile
      stage.style.aspectRatio = `${shot.size[0]} / ${shot.size[1]}`;
      for (const part of [stage, border.parentNode]) { // a tall picture fits the window, too
        part.style.maxWidth = `${(34 * shot.size[0]) / shot.size[1]}rem`;
      }
      [left, right].forEach((side, place) => {
        const { photo, canvas } = layers[place];
        if (shot.photo) photo.src = `data:image/jpeg;base64,${shot.photo}`;
        photo.alt = side.value === "photo" ? `Picture ${shot.name}` : "";
        canvas.hidden = !pixels[place];
        if (!pixels[place]) return;
        [canvas.width, canvas.height] = shot.size;
        canvas.getContext("2d").putImageData(pixels[place], 0, 0);
        canvas.style.opacity = blend.checked ? 0.55 : 1;
        canvas.setAttribute("aria-label", `${say(side.value)}, ${shot.name}`);
      });
      words.replaceChildren(...[["Left", left], ["Right", right]].map(([text, side]) => make("p", {}, `${text}: ${say(side.value)}${scored(shot, side.value)}`)));
      await explain(shot, now);
    }

    function say(layer) {
      const [kind, ...rest] = layer.split(" ");
      const label = data.cells.find(([cell]) => cell === rest.join(" "))?.[1];
      return { photo: "picture", truth: "truth", share: "share of cells wrong" }[kind] ?? `${kind} of ${label}`;
    }

    function scored(shot, layer) {
      const scores = shot.scores[layer.split(" ").slice(1).join(" ")];
      if (!scores) return "";
      const [only, percent] = [Number(one.value), (value) => (value === null ? "none" : `${value.toFixed(1)} %`)];
      const more = only < 0 ? "" : `, IoU of ${data.classes[only][0]} ${percent(scores[only + 1])}`;
      return `. mIoU of this picture ${percent(scores[0])}${more}`;
    }

    // Name the colours that the two layers show; a class is chosen by its name, too.
    async function explain(shot, now) {
      const kinds = [left.value, right.value].map((layer) => layer.split(" ")[0]);
      const only = Number(one.value), items = [];
      if (kinds.some((kind) => kind === "truth" || kind === "prediction")) {
        const there = new Set(await unpack(shot.truth));
        for (const cell of Object.keys(shot.predictions)) new Set(await unpack(shot.predictions[cell])).forEach((id) => there.add(id));
        data.classes.forEach(([text, ...color], id) => { if (there.has(id) && id !== data.void) items.push([text, color, id]); });
      }
      if (kinds.includes("errors")) {
        items.push(...(only < 0 ? [["right", RIGHT], ["wrong", WRONG]]
          : [["found", HIT], ["missed", MISSED], ["false alarm", FALSE], ["neither", RIGHT]]));
      }
      if (kinds.includes("share")) items.push(["few wrong", [227, 172, 114]], ["all wrong", [20, 10, 60]]);
      items.push(["void", VOID]);
      if (now === turn) colours.replaceChildren(...items.map(item));
    }

    function item([text, color, id]) {
      const box = make("span", { class: "box" });
      box.style.background = `rgb(${color.join(" ")})`;
      if (id === undefined) return make("li", {}, box, text);
      const button = make("button", { type: "button", "aria-pressed": String(Number(one.value) === id) }, box, text);
      button.addEventListener("click", () => {
        one.value = Number(one.value) === id ? -1 : id;
        draw().then(() => [...colours.querySelectorAll("button")].find((other) => other.textContent === text)?.focus());
      });
      return make("li", {}, button);
    }

    function move(percent) {
      border.value = percent;
      layers[1].box.style.clipPath = `inset(0 0 0 ${border.value}%)`;
      line.style.left = `${border.value}%`;
    }
    const follow = (event) => {
      const box = stage.getBoundingClientRect();
      move((100 * (event.clientX - box.left)) / box.width);
    };
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      follow(event);
    });
    stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) follow(event); });
    border.addEventListener("input", () => move(border.value));
    for (const control of [picture, left, right, one, blend]) control.addEventListener("change", draw);

    root.hidden = false;
    move(50);
    draw();
    return {
      cells(hidden) {
        off = new Set(hidden);
        fill();
        draw();
      },
    };
  }
}
