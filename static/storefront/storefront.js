// What makes the pages pleasanter; each works without it. Asks for news, copies keys, sends a form once.
"use strict";

const waiting = document.querySelector("[data-poll]");
if (waiting) {
  let pause = 700;
  const ask = async () => {
    try {
      const answer = await fetch(waiting.dataset.poll, { headers: { Accept: "text/html" } });
      const next = answer.headers.get("X-Next");
      if (next) {
        location.replace(next);
        return;
      }
      if (answer.ok) {
        const text = await answer.text();
        if (text !== waiting.dataset.shown) {
          waiting.innerHTML = text;
          waiting.dataset.shown = text;
        }
        if (answer.headers.get("X-Settled") === "yes") {
          return;
        }
      }
    } catch {
      // No network for a moment: ask again.
    }
    pause = Math.min(pause * 1.25, 5000);
    setTimeout(ask, pause);
  };
  setTimeout(ask, pause);
}

// What is agreed to goes with the way to pay: another way, another consent, and it is to be given anew.
const agree = (form) => {
  const way = form.querySelector("[name=pay_with]:checked");
  if (!way || !form.agreed_to || form.agreed_to.value === way.value) {
    return;
  }
  form.agreed_to.value = way.value;
  form.recurring.checked = false;
  for (const text of document.querySelectorAll("[data-way]")) {
    text.hidden = text.dataset.way !== way.value;
  }
};

document.addEventListener("change", (event) => {
  if (event.target.name === "pay_with") {
    agree(event.target.form);
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.from));
    }
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) {
    return;
  }
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button")) {
    button.setAttribute("aria-busy", "true");
  }
});

// Back from the gateway by the browser's button: the page may be sent again.
addEventListener("pageshow", () => {
  for (const way of document.querySelectorAll("[name=pay_with]:checked")) {
    agree(way.form);
  }
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
  }
});
