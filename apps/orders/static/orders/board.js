// The board asks for news every few seconds; what is ticked stays ticked, and nothing moves under an open menu.
(function () {
  "use strict";
  var board = document.getElementById("cr-board");
  var count = document.getElementById("cr-count");
  var all = document.getElementById("cr-all");
  if (!board) return;

  function ticked() {
    return Array.prototype.map.call(board.querySelectorAll("input[name=row]:checked"), function (one) { return one.value; });
  }
  function tell() {
    if (!count) return;
    var number = ticked().length;
    count.textContent = number ? count.dataset.some + ": " + number : count.dataset.none;
    count.hidden = all.checked;
  }
  function address() {
    var url = new URL(location.href);
    url.searchParams.set("part", "1");
    return url;
  }
  function refresh() {
    if (document.hidden) return wait();
    fetch(address(), { credentials: "same-origin", redirect: "error" })
      .then(function (answer) { return answer.ok ? answer.text() : Promise.reject(); })
      .then(function (text) {
        var kept = ticked(), focused = document.activeElement, at = focused && board.contains(focused) ? focused.value : null;
        board.innerHTML = text;
        board.classList.remove("is-stale");
        board.querySelectorAll("input[name=row]").forEach(function (one) {
          one.checked = kept.indexOf(one.value) >= 0;
          if (at && one.value === at) one.focus();
        });
        tell();
      })
      .catch(function () { board.classList.add("is-stale"); })
      .then(wait);
  }
  function wait() { setTimeout(refresh, 1000 * Number(board.dataset.seconds)); }

  board.addEventListener("change", tell);
  if (all) all.addEventListener("change", tell);
  document.addEventListener("visibilitychange", function () { if (!document.hidden) tell(); });
  tell();
  wait();
})();
