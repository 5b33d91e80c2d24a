// The matrix of offers: marks what differs from what was loaded, fills many cells at once, sends only what changed.
(() => {
  const root = document.querySelector("[data-matrix]");
  if (!root) return;
  const cells = [...root.querySelectorAll("[data-cell]")];
  const counter = root.querySelector("[data-count]");
  const check = root.querySelector("[data-check]");
  const fields = ["on", "price", "from", "until", "payer"];
  const input = (cell, name) => cell.querySelector(`[data-f=${name}]`);
  const read = (cell, name) => (name === "on" ? input(cell, name).checked : input(cell, name).value.trim());
  const write = (cell, name, value) => {
    if (name === "on") input(cell, name).checked = value;
    else input(cell, name).value = value;
  };
  const state = (cell) => JSON.stringify(fields.map((name) => read(cell, name)));
  const loaded = new Map(cells.map((cell) => [cell, state(cell)]));
  const changed = () => cells.filter((cell) => loaded.get(cell) !== state(cell));

  const show = () => {
    for (const cell of cells) {
      cell.parentElement.classList.toggle("changed", loaded.get(cell) !== state(cell));
      cell.classList.toggle("off", !read(cell, "on"));
    }
    const count = changed().length;
    counter.textContent = count;
    check.disabled = count === 0;
  };

  const body = (cell) => ({
    partner: +cell.dataset.partner,
    tariff: +cell.dataset.tariff,
    channel: cell.dataset.channel,
    revision: +cell.dataset.revision,
    ...Object.fromEntries(fields.map((name) => [name, read(cell, name)])),
  });

  const picked = () => {
    const rows = new Set([...root.querySelectorAll("[data-row]:checked")].map((box) => box.dataset.row));
    const columns = new Set([...root.querySelectorAll("[data-column]:checked")].map((box) => box.dataset.column));
    return cells.filter(
      (cell) =>
        (rows.size || columns.size) &&
        (!rows.size || rows.has(cell.dataset.tariff)) &&
        (!columns.size || columns.has(`${cell.dataset.partner}:${cell.dataset.channel}`)),
    );
  };

  // «+10%», «-5%» from the price that holds now; «0» back to the tariff's own price.
  const priced = (cell, text) => {
    const percent = text.match(/^([+-]\d+(?:[.,]\d+)?)%$/);
    if (!percent) return text === "0" ? "" : text;
    const base = +(read(cell, "price") || cell.dataset.price).replace(/\s/g, "").replace(",", ".");
    return (Math.round(base * (100 + +percent[1].replace(",", "."))) / 100).toFixed(2).replace(".", ",");
  };

  root.querySelector("[data-apply]")?.addEventListener("click", () => {
    const bulk = root.querySelector("[data-bulk]");
    const value = (name) => bulk.querySelector(`[data-b=${name}]`).value.trim();
    for (const cell of picked()) {
      if (value("on")) write(cell, "on", value("on") === "yes");
      if (value("price")) write(cell, "price", priced(cell, value("price")));
      for (const name of ["from", "until", "payer"]) if (value(name)) write(cell, name, value(name));
    }
    show();
  });
  root.querySelector("[data-all]")?.addEventListener("change", (event) => {
    for (const box of root.querySelectorAll("[data-row]")) box.checked = event.target.checked;
  });
  root.querySelector("[data-undo]").addEventListener("click", () => {
    for (const cell of cells) {
      const values = JSON.parse(loaded.get(cell));
      fields.forEach((name, index) => write(cell, name, values[index]));
    }
    show();
  });
  root.querySelector("form[data-save]").addEventListener("submit", (event) => {
    event.target.elements.changes.value = JSON.stringify(changed().map(body));
    sent = true;
  });
  let sent = false;
  window.addEventListener("beforeunload", (event) => {
    if (!sent && changed().length) event.preventDefault();
  });
  // What was refused comes back as it was typed.
  const kept = root.dataset.kept ? JSON.parse(root.dataset.kept) : [];
  for (const row of kept) {
    const cell = cells.find(
      (one) => +one.dataset.partner === row.partner && +one.dataset.tariff === row.tariff && one.dataset.channel === row.channel,
    );
    if (cell) for (const name of fields) write(cell, name, row[name]);
  }
  root.addEventListener("input", show);
  root.addEventListener("change", show);
  show();
})();
