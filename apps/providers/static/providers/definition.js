// The editor of a provider's connector: fields are inserted where the cursor stands, and what is typed is shown at once.
const root = document.querySelector(".cd");
const token = () => root.querySelector("[name=csrfmiddlewaretoken]").value;
const later = (act, wait = 350) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(act, wait); }; };
const ask = async (address, form) => {
  const answer = await fetch(address, { method: "POST", body: form, headers: { "X-CSRFToken": token() } });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
};

// Parts that belong to one choice only.
for (const choice of root.querySelectorAll("[data-switch]")) {
  const form = choice.closest("form");
  const show = () => { for (const part of choice.closest("section").querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(choice.value); };
  choice.addEventListener("change", () => { show(); form.dispatchEvent(new Event("input", { bubbles: true })); });
  show();
}

// Where a field is inserted.
let last = root.querySelector("textarea[name=body], textarea[name=auth_message]");
root.addEventListener("focusin", ({ target }) => { if (target.matches("textarea, input:not([type=checkbox]):not([type=radio]):not([type=password])")) last = target; });
for (const button of root.querySelectorAll("[data-insert]")) {
  button.addEventListener("click", () => {
    if (!last) return;
    last.focus();
    last.setRangeText(button.dataset.insert, last.selectionStart, last.selectionEnd, "end");
    last.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

const begun = root.matches("[data-new]") && root.querySelector("[data-source]");
if (begun) {
  const choose = (code) => {
    begun.value = code;
    for (const panel of root.querySelectorAll("[data-panel]")) panel.hidden = panel.dataset.panel !== code;
    for (const tab of root.querySelectorAll("[data-tab]")) tab.setAttribute("aria-selected", tab.dataset.tab === code);
  };
  for (const tab of root.querySelectorAll("[data-tab]")) tab.addEventListener("click", () => choose(tab.dataset.tab));
  for (const file of root.querySelectorAll("input[type=file]")) file.addEventListener("change", () => { file.closest("label").querySelector("[data-file]").textContent = file.files[0]?.name ?? ""; });
  choose(begun.value);
}

const request = root.querySelector("[data-request]");
if (request) {
  const shown = request.querySelector("[data-shown]"), list = request.querySelector("[data-problems]");
  const draw = async () => {
    const told = await ask(request.dataset.preview, new FormData(request)).catch(() => null);
    if (!told) return;
    const problems = told.problems ?? [];
    list.hidden = !problems.length;
    list.replaceChildren(...problems.map((one) => Object.assign(document.createElement("li"), { textContent: one.text })));
    for (const box of request.querySelectorAll("textarea, input")) box.classList.toggle("is-bad-field", problems.some((one) => one.field.split(".")[0] === box.name));
    shown.classList.toggle("is-old", problems.length > 0);
    if (told.request) shown.textContent = told.request;
  };
  request.addEventListener("input", later(draw));
  draw();
}

const answer = root.querySelector("[data-answer]");
if (answer) {
  const wrong = answer.querySelector("[data-sample-problem]"), sample = answer.querySelector("[data-sample]");
  const draw = async () => {
    if (!sample.value.trim()) return;
    const told = await ask(answer.dataset.read, new FormData(answer)).catch(() => null);
    if (!told) return;
    wrong.hidden = !told.problem;
    wrong.textContent = told.problem ?? "";
    for (const output of answer.querySelectorAll("[data-value]")) {
      const one = told.found?.[output.dataset.value];
      output.className = !one ? "" : one.problem ? "is-wrong" : one.is_there ? "" : "is-none";
      output.textContent = !one ? "" : one.problem ?? (one.is_there ? one.value || "∅" : "—");
      output.title = output.textContent;
    }
  };
  answer.addEventListener("input", later(draw));
  draw();
}

const trying = root.querySelector("[data-try]");
if (trying) {
  const part = (name) => trying.querySelector(`[data-${name}]`);
  trying.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = part("go");
    button.disabled = true;
    const told = await ask(trying.dataset.send, new FormData(trying)).catch((error) => ({ problem: String(error) }));
    button.disabled = false;
    part("result").hidden = false;
    part("verdict").textContent = told.problem ? "✗" : `✓ ${told.state_title}`;
    part("status").textContent = told.status ? `HTTP ${told.status}` : "";
    part("status").className = `cd-badge ${told.problem ? "is-bad" : "is-good"}`;
    part("problem").hidden = !told.problem;
    part("problem").textContent = told.problem ?? "";
    part("found").replaceChildren(...(told.found ?? []).flatMap(([, title, value]) => [
      Object.assign(document.createElement("dt"), { textContent: title }), Object.assign(document.createElement("dd"), { textContent: value }),
    ]));
    part("sent").textContent = told.request ?? "";
    part("came").textContent = told.answer ?? "";
    if (told.service_id) trying.querySelector("[name=service_id]").value = told.service_id;
    if (told.is_recorded) {
      root.querySelector("[data-nothing]")?.remove();
      root.querySelector(`[data-record=${told.operation}]`)?.remove();
      const line = Object.assign(document.createElement("li"), { textContent: "" });
      line.dataset.record = told.operation;
      const title = trying.querySelector(`[name=operation][value=${told.operation}] + span`).textContent;
      line.append(Object.assign(document.createElement("b"), { textContent: title }), Object.assign(document.createElement("span"), { textContent: told.status, className: "cd-badge" }));
      root.querySelector("[data-records]").append(line);
    }
    part("result").scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
}
