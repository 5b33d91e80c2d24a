// New calls appear by themselves; the card of a single caller opens.
(() => {
  const list = document.getElementById("calls");
  const open = document.getElementById("open-cards");
  const line = (call) => {
    const item = document.createElement("li");
    const who = document.createElement("span");
    const name = document.createElement(call.card ? "a" : "span");
    name.textContent = call.customer || call.phone;
    if (call.card) { name.href = call.card; name.className = "armor-link"; }
    const phone = document.createElement("em");
    phone.textContent = call.phone;
    who.append(name, phone);
    const rest = document.createElement("span");
    rest.className = "armor-muted";
    rest.textContent = [call.partner, call.state, call.at].join(" · ");
    item.append(who, rest);
    return item;
  };
  const ask = async () => {
    try {
      const answer = await fetch(`?after=${list.dataset.last}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const { calls } = await answer.json();
      if (!calls.length) return;
      document.getElementById("no-calls")?.remove();
      list.dataset.last = Math.max(...calls.map((call) => call.number));
      list.prepend(...calls.map(line));
      const mine = calls.filter((call) => call.mine && call.card);
      if (open.checked && mine.length === 1) location.assign(mine[0].card);
    } catch { /* The next question will be answered. */ }
  };
  setInterval(ask, 2000);
})();
