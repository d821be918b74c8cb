/* One switch a page that shows all code, one player sounding at a time, paper that is light, and names
   and roles that screen readers miss in what the theme and docutils write. */
document.addEventListener("DOMContentLoaded", () => {
  const folded = document.querySelectorAll(".bd-article details.hide");
  const title = document.querySelector(".bd-article h1");
  if (folded.length && title) {
    const button = document.createElement("button");
    const show = (all) => {
      document.documentElement.classList.toggle("code-folded", !all);
      folded.forEach((details) => { details.open = all; });
      button.textContent = all ? "Fold the code" : "Show all code";
      button.setAttribute("aria-pressed", String(all));
    };
    button.type = "button";
    button.className = "show-code";
    button.addEventListener("click", () => show(button.getAttribute("aria-pressed") !== "true"));
    show(false);
    title.after(button);
  }
  document.querySelectorAll(".toctree-l1 > details > summary").forEach((summary) => {
    const chapter = summary.closest("li").querySelector("a").textContent.trim();
    summary.setAttribute("aria-label", `Sections of ${chapter}`);
  });
  document.querySelectorAll(".citation-list").forEach((list) => list.removeAttribute("role"));
  document.addEventListener("play", (event) => {
    document.querySelectorAll("audio").forEach((audio) => {
      if (audio !== event.target) audio.pause();
    });
  }, true);
  const page = document.documentElement.dataset;
  window.addEventListener("beforeprint", () => {
    const { theme } = page;
    page.theme = "light";
    window.addEventListener("afterprint", () => { page.theme = theme; }, { once: true });
  });
});
