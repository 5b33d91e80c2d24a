// Calls appear and change by themselves; the card of a caller opens once the call is this agent's.
(() => {
  const list = document.getElementById("calls");
  const open = document.getElementById("open-cards");
  let mine = new Set([...list.querySelectorAll("[data-mine]")].map((item) => item.dataset.number));
  const line = (call) => {
    const item = document.createElement("li");
    const who = document.createElement("span");
    const name = document.createElement(call.card ? "a" : "span");
    name.textContent = call.card ? call.customer : list.dataset.unknown;
    if (call.card) { name.href = call.card; name.className = "armor-link"; }
    const phone = document.createElement("em");
    phone.textContent = call.phone;
    who.append(name, phone);
    const rest = document.createElement("span");
    rest.className = "armor-muted";
    rest.textContent = [call.partner, call.state, call.agent, call.at].filter(Boolean).join(" · ");
    item.append(who, rest);
    return item;
  };
  const ask = async () => {
    try {
      const answer = await fetch(`?news=${list.dataset.news}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const { news, calls } = await answer.json();
      list.dataset.news = news;
      if (!calls.length) return;
      list.replaceChildren(...calls.map(line));
      const own = calls.filter((call) => call.mine);
      const fresh = own.find((call) => call.card && !mine.has(call.number));
      mine = new Set(own.map((call) => call.number));
      if (open.checked && fresh) location.assign(fresh.card);
    } catch { /* The next question will be answered. */ }
  };
  setInterval(ask, 2000);
})();
