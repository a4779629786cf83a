// Paste or drop a picture, move by keys, show the slider's number. Everything else is HTML: without
// this file the page searches by words and by a chosen picture all the same.

const words = document.getElementById("q");
const ask = document.getElementById("ask");
const picture = document.getElementById("picture");
const file = document.getElementById("image");
const news = document.getElementById("news");
const body = document.body;

body.classList.add("scripted");

// --- a picture -----------------------------------------------------------------------------------

const isPicture = (candidate) => candidate.type.startsWith("image/");

function searchWith(found) {
  const held = new DataTransfer();
  held.items.add(found);
  file.files = held.files;
  picture.requestSubmit();
}

function say(text) {
  news.textContent = text;
  news.classList.toggle("hidden", !text);
}

document.addEventListener("paste", (event) => {
  const found = [...(event.clipboardData?.files ?? [])].find(isPicture);
  if (!found) return;
  event.preventDefault();
  searchWith(found);
});

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  body.classList.add("dropping");
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) body.classList.remove("dropping");
});

document.addEventListener("drop", (event) => {
  body.classList.remove("dropping");
  if (!carriesFiles(event)) return;
  event.preventDefault();
  const found = [...event.dataTransfer.files].find(isPicture);
  if (found) searchWith(found);
  else say("That is no picture: drop a JPEG, PNG, WebP, GIF or TIFF.");
});

file.addEventListener("change", () => {
  if (file.files.length) picture.requestSubmit();
});

picture.addEventListener("submit", () => {
  picture.elements.q.value = words.value;
});

// --- waiting -------------------------------------------------------------------------------------

for (const form of [ask, picture]) {
  form.addEventListener("submit", (event) => {
    if (event.submitter?.formAction.includes("/export.")) return;
    body.classList.add("waiting");
    say("Searching …");
  });
}

window.addEventListener("pageshow", () => {
  body.classList.remove("waiting");
  say("");
});

// --- the slider ----------------------------------------------------------------------------------

const mix = document.getElementById("mix");
mix?.addEventListener("input", () => {
  document.querySelector('output[for="mix"]').value = `${mix.value} %`;
});

// --- keys ----------------------------------------------------------------------------------------

const tiles = [...document.querySelectorAll(".tile .picture")];

/** How many tiles stand in the first row. */
function perRow() {
  const top = tiles[0].getBoundingClientRect().top;
  const next = tiles.findIndex((tile) => tile.getBoundingClientRect().top > top + 1);
  return next < 0 ? tiles.length : next;
}

function moved(from, key) {
  switch (key) {
    case "ArrowRight": return from + 1;
    case "ArrowLeft": return from - 1;
    case "ArrowDown": return from + perRow();
    case "ArrowUp": return from - perRow();
    case "Home": return 0;
    case "End": return tiles.length - 1;
    default: return null;
  }
}

const isField = (element) => element?.matches("input, textarea, select");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = document.activeElement;
  if (event.key === "/" && !isField(at)) {
    event.preventDefault();
    words.focus();
    words.select();
  } else if (event.key === "Escape") {
    escape(at);
  } else if (tiles.length) {
    walk(event, at);
  }
});

function escape(at) {
  const open = document.querySelector("details.picture-box[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  } else if (at === words) {
    words.blur();
  } else {
    words.focus();
  }
}

function walk(event, at) {
  const from = tiles.indexOf(at?.closest(".tile")?.querySelector(".picture"));
  if (at === words && event.key === "ArrowDown") {
    event.preventDefault();
    tiles[0].focus();
    return;
  }
  if (isField(at) || at?.matches("summary, button")) return;
  const to = from < 0 ? (event.key.startsWith("Arrow") && at === body ? 0 : null) : moved(from, event.key);
  if (to === null) return;
  event.preventDefault();
  if (to < 0) words.focus();
  else tiles[Math.min(to, tiles.length - 1)].focus();
}
