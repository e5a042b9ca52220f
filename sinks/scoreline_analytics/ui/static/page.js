// The URL is the state: links and filters change it, the server is told and draws what it says.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("scoreline-theme"); } catch { return null; } };
  const paint = () => { root.dataset.theme = stored() || (system.matches ? "dark" : "light"); };
  paint();
  system.addEventListener("change", paint);

  const tell = (why) => emitEvent("view", { url: location.pathname + location.search, why });
  const go = (url, why, replace) => {
    if (url !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"](null, "", url);
    tell(why);
  };
  addEventListener("popstate", () => tell("link"));

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-do], a[data-nav]");
    if (!target) return;
    if (target.matches("a[data-nav]")) {
      if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      go(target.getAttribute("href"), "link");
      return;
    }
    act[target.dataset.do]?.(target);
  });

  const act = {
    theme: () => {
      const next = root.dataset.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("scoreline-theme", next); } catch { /* private mode: the switch holds for this page */ }
      root.dataset.theme = next;
    },
    help: () => document.getElementById("help")?.showModal(),
    retry: () => tell("retry"),
    filters: (button) => {
      const isOpen = button.form.classList.toggle("is-open");
      button.setAttribute("aria-expanded", isOpen);
    },
    pause: () => emitEvent("pause", {}),
  };

  const query = (form) => {
    const said = new URLSearchParams(location.search);
    for (const field of form.elements) {
      if (!field.name || field.dataset.part) continue;
      if (field.value && field.value !== (field.dataset.default ?? "")) said.set(field.name, field.value);
      else said.delete(field.name);
    }
    for (const name of form.dataset.clears?.split(" ") ?? []) if (name) said.delete(name);
    const text = said.toString();
    return (form.dataset.path || location.pathname) + (text ? "?" + text : "");
  };
  let typing;
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-view]");
    if (!form || event.target.type !== "search") return;
    clearTimeout(typing);
    typing = setTimeout(() => go(query(form), "form", true), 250);
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-view]");
    if (!form || event.target.type === "search") return;
    const part = event.target.dataset.part;
    if (part) {
      const days = [...form.querySelectorAll(`[data-part="${part}"]`)].map((field) => field.value);
      if (days.some((day) => !day)) return;
      form.elements[part].value = days.join("..");
    }
    if (event.target.dataset.clears) for (const name of event.target.dataset.clears.split(" ")) if (form.elements[name]) form.elements[name].value = "";
    event.target.classList.toggle("is-set", event.target.value !== (event.target.dataset.default ?? "") && "filter" in event.target.dataset);
    go(query(form), event.target.dataset.redraw ? "link" : "form");
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-view]")) { event.preventDefault(); clearTimeout(typing); go(query(event.target), "form"); }
  });

  const pages = { o: "/", c: "/compare", l: "/live", t: "/live", r: "/rejections", h: "/health" };
  let went = 0;
  addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || event.target.closest?.("input, select, textarea, dialog")) return;
    const page = Date.now() - went < 1500 ? pages[event.key] : undefined;
    went = event.key === "g" ? Date.now() : 0;
    if (page) document.querySelector(`.nav a[data-page="${page}"]`)?.click();
    else if (event.key === "/") { event.preventDefault(); document.querySelector("input[type=search]")?.focus(); }
    else if (event.key === "?") act.help();
    else if (event.key === "d") act.theme();
    else if (event.key === "p") act.pause();
  });

  // Choices come after the first view; what is chosen stays chosen.
  window.scorelineChoices = (choices) => {
    for (const [name, values] of Object.entries(choices)) {
      for (const field of document.querySelectorAll(`select[data-choices="${name}"]`)) {
        const chosen = field.value;
        const known = new Set([...field.options].map((option) => option.value));
        for (const value of values) if (!known.has(value)) field.add(new Option(value, value));
        field.value = chosen;
      }
    }
  };
})();
