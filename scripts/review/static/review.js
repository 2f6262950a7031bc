"use strict";
// What the server says of a picture is shown as text alone.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  // The token is behind the #, which no browser sends anywhere; a reload of the tab finds it again.
  const token = location.hash.slice(1) || sessionStorage.getItem("token") || "";
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", "/");
  const session = crypto.randomUUID();
  let shown = null, busy = false, address = "";

  const ask = (path, options = {}) => fetch(path, {
    ...options,
    headers: { "X-Scones-Token": token, "X-Scones-Session": session, "Content-Type": "application/json" },
  });

  async function act(path, asked, said) {
    if (busy) return;
    busy = true;
    enable();
    try {
      const answer = await ask(path, { method: "POST", body: JSON.stringify(asked) });
      const reply = await answer.json();
      if (answer.ok) {
        show(reply);
        say(said);
      } else {
        say(reply.error);
        // Somebody else has resolved it: go on to what is left.
        if (answer.status === 409 && path !== "/api/undo") show(await (await ask("/api/next", { method: "POST", body: "{}" })).json());
      }
    } catch {
      say("The server does not answer: is scones review still running? What was answered before is kept.");
    } finally {
      busy = false;
      enable();
    }
  }

  function say(text) {
    byId("said").textContent = text;
  }

  function show({ item, progress }) {
    shown = item;
    const all = progress.waiting + progress.answered;
    byId("progress").max = Math.max(1, all);
    byId("progress").value = progress.answered;
    byId("count").textContent = `${progress.answered} answered here, ${progress.waiting} waiting`;
    byId("name").textContent = item ? item.picture : "";
    byId("model").textContent = item ? describe(item) : "Nothing waits for you. New doubts appear here by themselves.";
    picture(item);
    if (!item) setTimeout(() => shown || act("/api/next", {}, ""), 5000);
  }

  function describe(item) {
    if (item.confidence === null) return `${item.status.toLowerCase()}: ${item.cause ?? item.error ?? "no reason known"}`;
    const said = `The model says ${item.label} ${item.confidence.toFixed(3)}`;
    if (item.confidence >= item.threshold) return `${said}, which is not what the workflow looks for.`;
    return `${said}; it would take ${item.threshold.toFixed(3)} to accept.`;
  }

  async function picture(item) {
    const image = byId("picture"), missing = byId("missing");
    URL.revokeObjectURL(address);
    address = "";
    image.removeAttribute("src");
    image.hidden = true;
    missing.hidden = false;
    missing.textContent = item ? "…" : "✓";
    if (!item) return;
    const answer = await ask(`/api/picture?id=${encodeURIComponent(item.id)}`);
    if (shown !== item) return;
    if (!answer.ok) {
      missing.textContent = (await answer.json()).error;
      return;
    }
    address = URL.createObjectURL(await answer.blob());
    image.src = address;
    image.alt = `The picture ${item.picture.split("/").at(-1)}`;
    image.hidden = false;
    missing.hidden = true;
  }

  const choices = [
    ...data.labels.map((label, number) => [String(number + 1), label, () => answer(label)]),
    ["x", "no usable picture", () => answer(data.unusable)],
    ["s", "see it later", () => shown && act("/api/later", { id: shown.id }, "Put off.")],
    ["u", "undo", () => act("/api/undo", {}, "Taken back.")],
  ];

  function answer(label) {
    if (shown) act("/api/answer", { id: shown.id, label }, `Kept: ${label}.`);
  }

  function enable() {
    choices.forEach(([key], number) => {
      byId("answers").children[number].disabled = busy || (!shown && key !== "u");
    });
  }

  for (const [key, text, choose] of choices) {
    const button = document.createElement("button");
    const hint = document.createElement("kbd");
    hint.textContent = key;
    button.append(hint, ` ${text}`);
    button.setAttribute("aria-keyshortcuts", key);
    button.addEventListener("click", choose);
    byId("answers").append(button);
  }
  document.addEventListener("keydown", (event) => {
    // A key held down answers once: what comes next has not been seen yet.
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    choices.find(([key]) => key === event.key.toLowerCase())?.[2]();
  });
  byId("who").textContent = `Answers go into the ledger as given by ${data.reviewer}.`;
  act("/api/next", {}, "");
})();
