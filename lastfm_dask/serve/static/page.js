// Makes the page live: a type-ahead, answers that change as one types, histories dropped in. What is shown comes from
// the server as markup that is escaped there; here only text is set, never markup made of names.

const DEFAULT_PLAYS = "30";
const HISTORY_ARTISTS = 20;
const SLIDERS = ["unknown", "variety"];
const PAUSE_MS = 120;
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const form = $("#ask");

const say = (text) => { const place = $("#status"); if (place) place.textContent = text; };
const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

// --- answers -----------------------------------------------------------------------------------------------------

let latest = 0;

const addressOf = (data) => {
  const pairs = new URLSearchParams();
  for (const [name, value] of data) {
    if (SLIDERS.includes(name) && value === "0") continue;
    pairs.append(name, value);
  }
  const text = pairs.toString();
  return text ? `/?${text}` : "/";
};

// The form's pairs without blank rows: an artist and its plays stand behind each other.
const pairsOf = () => {
  const pairs = [];
  for (const like of $$(".like", form)) {
    const plays = $("[name=plays]", like);
    pairs.push(["artist", $("[name=artist]", like).value], ["plays", plays.checkValidity() && plays.value ? plays.value : DEFAULT_PLAYS]);
  }
  for (const left of $$("[name=not]", form)) pairs.push(["not", left.value]);
  for (const name of SLIDERS) pairs.push([name, $(`#${name}`).value]);
  return pairs;
};

// Asks for an address and puts its parts into the page; an answer that a later question overtook is dropped.
const show = async (address, part, remember) => {
  const turn = ++latest;
  const answers = $("#answers");
  answers.classList.add("waiting");
  const asked = new URL(address, location.href);
  asked.searchParams.set("part", part);
  try {
    const response = await fetch(asked);
    const text = await response.text();
    if (turn !== latest) return;
    if (!response.ok) { say(messageOf(text, response.status)); answers.prepend(noteOf(text, response.status)); return; }
    const found = new DOMParser().parseFromString(text, "text/html").body;
    for (const piece of $$("[data-part]", found)) $(`#${piece.dataset.part}`).replaceChildren(...piece.childNodes);
    if (part === "all") for (const name of SLIDERS) $(`#${name}`).value = asked.searchParams.get(name) ?? "0";
    if (remember === "push") history.pushState(null, "", address);
    if (remember === "replace") history.replaceState(null, "", address);
  } catch {
    if (turn === latest) say("The server did not answer. Try again.");
  } finally {
    if (turn === latest) answers.classList.remove("waiting");
  }
};

const messageOf = (text, status) => { try { return JSON.parse(text).message; } catch { return `The server answered ${status}. Try again.`; } };
const noteOf = (text, status) => element("p", { className: "note", textContent: messageOf(text, status) });

let pause;
const changed = () => {
  clearTimeout(pause);
  pause = setTimeout(() => show(addressOf(pairsOf()), "answers", "replace"), PAUSE_MS);
};

const add = async (artist, plays = DEFAULT_PLAYS) => {
  const pairs = form ? pairsOf() : [];
  const present = form && $$(".like [name=artist]", form).some((input) => input.value === artist);
  if (present) { say(`${artist} is in the list`); return; }
  const address = addressOf([...pairs, ["artist", artist], ["plays", plays]]);
  if (!form) { location.assign(address); return; }
  say(`Added ${artist}`);
  await show(address, "all", "push");
};

if (form) {
  form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  form.addEventListener("input", changed);
  addEventListener("popstate", () => show(location.href, "all", null));
}

document.addEventListener("click", async (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  const link = event.target.closest("a[data-live], a[data-similar], button");
  if (!link) return;
  if (link.dataset.live && form) {
    event.preventDefault();
    const likes = $("#list").contains(link);
    const place = likes ? $$(".remove").indexOf(link) : $$(".item").indexOf(link.closest(".item"));
    await show(link.getAttribute("href"), link.dataset.live, "push");
    if (link.dataset.say) say(link.dataset.say);
    const next = likes ? $$(".remove")[place] ?? $("#finder") : $$(".item .name")[place] ?? $("#finder");
    if (next && document.activeElement === document.body) next.focus({ preventScroll: true });
  } else if ("similar" in link.dataset) {
    event.preventDefault();
    await toggleSimilar(link);
  } else if (link.dataset.add) {
    await add(link.dataset.add);
  } else if (link.dataset.copy) {
    await copy($(`#${link.dataset.copy}`).value, link);
  } else if ("copyLink" in link.dataset) {
    await copy(location.href, link);
  }
});

// A link that acts as a button answers the space bar too.
document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target.matches?.("a[role=button]")) { event.preventDefault(); event.target.click(); }
});

const toggleSimilar = async (link) => {
  const item = link.closest(".item");
  const shown = $(".similar", item);
  link.setAttribute("aria-expanded", String(!shown));
  if (shown) { shown.remove(); return; }
  const response = await fetch(`${link.getAttribute("href")}&part=similar`);
  const text = await response.text();
  const found = response.ok ? new DOMParser().parseFromString(text, "text/html").body.firstElementChild : noteOf(text, response.status);
  const present = new Set($$(".like [name=artist]").map((input) => input.value));
  for (const button of $$("[data-add]", found)) if (present.has(button.dataset.add)) button.replaceWith(element("small", { textContent: "in your list" }));
  if (!$(".similar", item)) item.append(found);
};

const copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  } catch {
    const area = $(`#${button.dataset.copy ?? "copy-text"}`);
    area.focus();
    area.select();
    say("Press Ctrl C to copy");
  }
};

// --- type-ahead: the combobox pattern of WAI-ARIA, with a list whose option is active but never focused ------------

const finder = $("#finder");

if (finder) {
  const list = $("#finder-list");
  const help = $("#finder-help");
  const usual = help.textContent;
  let options = [];
  let active = -1;
  let turn = 0;
  let timer;

  const close = () => {
    options = [];
    active = -1;
    list.hidden = true;
    list.replaceChildren();
    help.textContent = usual;
    finder.setAttribute("aria-expanded", "false");
    finder.removeAttribute("aria-activedescendant");
  };

  const choose = (i) => {
    active = i;
    options.forEach((option, k) => option.setAttribute("aria-selected", String(k === i)));
    if (i < 0) { finder.removeAttribute("aria-activedescendant"); return; }
    finder.setAttribute("aria-activedescendant", options[i].id);
    options[i].scrollIntoView({ block: "nearest" });
  };

  const take = async (name) => {
    turn += 1;
    clearTimeout(timer);
    finder.value = "";
    close();
    await add(name);
    finder.focus();
  };

  const optionOf = (row, i) => {
    const name = element("bdi", { textContent: row.artist });
    const count = element("small", { textContent: counted(row.listeners, "listener") });
    const option = element("li", { id: `finder-${i}` }, name, count);
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.dataset.artist = row.artist;
    return option;
  };

  const search = async () => {
    const mine = ++turn;
    const typed = finder.value;
    if (!typed.trim()) { close(); return; }
    try {
      const response = await fetch(`/api/artists?n=8&q=${encodeURIComponent(typed)}`);
      if (!response.ok) return;
      const answer = await response.json();
      if (mine !== turn) return;
      options = answer.artists.map(optionOf);
      active = -1;
      list.replaceChildren(...options);
      list.hidden = !options.length;
      finder.setAttribute("aria-expanded", String(options.length > 0));
      help.textContent = options.length ? usual : "No artist has such a name. Try fewer letters.";
      say(options.length ? `${counted(options.length, answer.near ? "near name" : "artist")}` : help.textContent);
      if (options.length) choose(0); else finder.removeAttribute("aria-activedescendant");
    } catch { say("The server did not answer. Try again."); }
  };

  finder.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 60); });
  finder.addEventListener("blur", () => setTimeout(close, 150));
  finder.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const n = options.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!n) { search(); return; }
      choose((active + (event.key === "ArrowDown" ? 1 : n - 1) + n) % n);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (active >= 0) take(options[active].dataset.artist);
      else if (finder.value.trim()) take(finder.value.trim());
    } else if (event.key === "Escape") {
      if (!n) finder.value = "";
      close();
    }
  });
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const option = event.target.closest("[role=option]");
    if (option) take(option.dataset.artist);
  });
  if (matchMedia("(pointer: fine)").matches && !$(".like")) finder.focus({ preventScroll: true });
}

// --- one's own history ---------------------------------------------------------------------------------------------

const files = $("#files");

if (files) {
  const place = $("#history");
  const drop = files.closest(".drop");

  const read = async (chosen) => {
    const plays = new Map();
    const missing = new Map();
    let rows = 0;
    for (const file of chosen) {
      place.replaceChildren(`Reading ${file.name} …`);
      let response;
      try { response = await fetch("/api/history", { method: "POST", body: file }); } catch { /* said below */ }
      if (!response?.ok) {
        const text = response ? messageOf(await response.text(), response.status) : "The server did not answer.";
        place.replaceChildren(element("p", { className: "note", textContent: `${file.name}: ${text}` }));
        return;
      }
      const answer = await response.json();
      rows += answer.rows;
      for (const one of answer.matched) plays.set(one.artist, (plays.get(one.artist) ?? 0) + one.plays);
      for (const one of answer.unmatched) missing.set(one.name, (missing.get(one.name) ?? 0) + one.plays);
    }
    const most = [...plays].sort((a, b) => b[1] - a[1]).slice(0, HISTORY_ARTISTS);
    const list = most.length > 1 ? ` The ${most.length} you play most are your list now.` : most.length ? " That is your list now." : " Your list stays as it is.";
    const said = `${counted(rows, "play")} read, ${counted(plays.size, "artist")} known here.${list}`;
    place.replaceChildren(element("p", { textContent: said }));
    if (missing.size) {
      const names = [...missing].map(([name, n]) => element("li", {}, element("bdi", { textContent: name }), ` (${n})`));
      place.append(element("p", { textContent: `${missing.size.toLocaleString("en")} not known here:` }), element("ul", { tabIndex: 0, ariaLabel: "Artists that are not known" }, ...names));
    }
    const pairs = most.flatMap(([name, n]) => [["artist", name], ["plays", String(n)]]);
    if (pairs.length) await show(addressOf(pairs), "all", "push");
  };

  files.addEventListener("change", () => { if (files.files.length) read([...files.files]); });
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) read([...event.dataTransfer.files]);
  });
}
