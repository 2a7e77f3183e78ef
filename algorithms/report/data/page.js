"use strict";
(() => {
  const episodes = [...document.querySelectorAll(".episode")];
  const buttons = [...document.querySelectorAll("[data-filter]")];
  const runChoice = document.getElementById("run-choice");
  const shown = document.getElementById("shown");
  let result = "all";

  const apply = () => {
    const run = runChoice ? runChoice.value : "";
    let count = 0;
    for (const episode of episodes) {
      const fits =
        (result === "all" || episode.dataset.result === result) &&
        (run === "" || episode.dataset.run === run);
      episode.hidden = !fits;
      count += fits ? 1 : 0;
    }
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.filter === result));
    }
    if (shown) shown.textContent = `${count} of ${episodes.length} episodes`;
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      result = button.dataset.filter;
      apply();
    });
  }
  if (runChoice) runChoice.addEventListener("change", apply);
  if (episodes.length > 0) apply();
})();
