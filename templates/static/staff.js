// What the console does by itself: printing, and looking closely at documents.
(function () {
  "use strict";
  document.addEventListener("click", function (e) {
    if (e.target.closest("[data-print]")) window.print();
  });
})();

(function () {
  "use strict";

  var zoom = document.getElementById("zoom");
  if (!zoom) return;
  var img = zoom.querySelector("img"), sheet = img.parentNode, pane = zoom.querySelector(".zoom-pane"), facts = zoom.querySelector(".zoom-facts");
  var scale = 1, turns = 0;

  function draw() {
    var w = pane.clientWidth, h = pane.clientHeight, side = turns % 2;
    var iw = side ? img.naturalHeight : img.naturalWidth, ih = side ? img.naturalWidth : img.naturalHeight;
    if (!iw) return;
    var fit = Math.min(w / iw, h / ih) * scale;
    sheet.style.width = iw * fit + "px";
    sheet.style.height = ih * fit + "px";
    img.style.width = img.naturalWidth * fit + "px";
    img.style.height = img.naturalHeight * fit + "px";
    img.style.transform = "translate(-50%, -50%) rotate(" + turns * 90 + "deg)";
  }

  // Keeps the point in the middle while the size changes.
  function by(factor) {
    var x = (pane.scrollLeft + pane.clientWidth / 2) / pane.scrollWidth, y = (pane.scrollTop + pane.clientHeight / 2) / pane.scrollHeight;
    scale = Math.min(8, Math.max(1, scale * factor));
    draw();
    pane.scrollLeft = x * pane.scrollWidth - pane.clientWidth / 2;
    pane.scrollTop = y * pane.scrollHeight - pane.clientHeight / 2;
  }

  document.addEventListener("click", function (e) {
    var doc = e.target.closest("[data-zoom]");
    if (doc) {
      scale = 1; turns = 0;
      document.getElementById("zoom-title").textContent = doc.dataset.title;
      var typed = doc.closest(".pair").querySelector("dl").cloneNode(true);
      typed.querySelectorAll("[id]").forEach(function (el) { el.removeAttribute("id"); });
      facts.replaceChildren(typed);
      img.alt = doc.dataset.title;
      img.onload = draw;
      img.src = doc.querySelector("img").src;
      zoom.showModal();
      draw();
      return;
    }
    var step = e.target.closest("[data-zoom-by]");
    if (step) by(step.dataset.zoomBy === "1" ? 1.5 : 1 / 1.5);
    if (e.target.closest("[data-turn]")) { turns = (turns + 1) % 4; draw(); }
  });
  pane.addEventListener("wheel", function (e) {
    if (!e.ctrlKey) return;
    e.preventDefault();
    by(e.deltaY < 0 ? 1.2 : 1 / 1.2);
  }, { passive: false });
  zoom.addEventListener("keydown", function (e) {
    if (e.key === "+" || e.key === "=") by(1.5);
    if (e.key === "-") by(1 / 1.5);
    if (e.key === "r") { turns = (turns + 1) % 4; draw(); }
  });
  window.addEventListener("resize", draw);

  // Addresses of pictures live five minutes; a page open for longer gets new ones.
  document.addEventListener("error", function (e) {
    if (e.target.matches && e.target.matches(".doc img")) e.target.alt = "图片链接已过期，请刷新页面";
  }, true);
})();
