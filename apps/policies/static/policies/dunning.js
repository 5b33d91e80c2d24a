// The editor of a dunning policy: rows come and go, and the line of days follows what is typed.
const form = document.querySelector("[data-dunning]");
const titles = Object.fromEntries(form.dataset.actions.split(";").filter(Boolean).map((pair) => pair.split("=")));
const order = Object.keys(titles);

const draw = (section) => {
  const steps = [...section.querySelectorAll("[data-row]")]
    .map((row) => ({ day: row.querySelector("input").value, action: row.querySelector("select").value }))
    .filter((step) => step.day !== "" && step.action)
    .map((step) => ({ ...step, day: Number(step.day) }))
    .sort((a, b) => a.day - b.day || order.indexOf(a.action) - order.indexOf(b.action));
  const longest = Math.max(1, ...steps.map((step) => step.day));
  const seen = {};
  section.querySelector("[data-line]").replaceChildren(...steps.map((step) => {
    const place = document.createElement("li"), text = document.createElement("span");
    place.className = `is-${step.action}`;
    // Two on one day stand one below the other.
    if (seen[step.day]) place.classList.add("lower");
    seen[step.day] = true;
    place.style.left = `${(step.day * 92) / longest + 2}%`;
    place.title = `${step.day}: ${titles[step.action]}`;
    text.textContent = step.day;
    place.append(text);
    return place;
  }));
};

for (const section of form.querySelectorAll("[data-section]")) {
  const rows = section.querySelector("[data-rows]"), add = section.querySelector("[data-add]");
  if (add) {
    const empty = [...rows.querySelectorAll("[data-row]")].at(-1).cloneNode(true);
    for (const row of rows.querySelectorAll("[data-row]")) {
      if (row.querySelector("input").value === "") row.remove();
    }
    add.hidden = false;
    add.addEventListener("click", () => {
      const row = empty.cloneNode(true);
      row.querySelector("[data-remove]").hidden = false;
      rows.append(row);
      row.querySelector("input").focus();
    });
    for (const button of rows.querySelectorAll("[data-remove]")) button.hidden = false;
    rows.addEventListener("click", (event) => {
      if (!event.target.matches("[data-remove]")) return;
      event.target.closest("[data-row]").remove();
      draw(section);
    });
  }
  section.addEventListener("input", () => draw(section));
  draw(section);
}
