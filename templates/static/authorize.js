// The legal representative's pages: reading to the end, and signing by hand.
(function () {
  "use strict";

  // The scope is part of the letter: another choice is another text.
  document.querySelectorAll("form[data-scope]").forEach(function (f) {
    f.addEventListener("change", function () { f.submit(); });
  });

  // The letter must have been seen to its end, and for some seconds; the server
  // counts them too.
  document.querySelectorAll("form[data-reading]").forEach(function (f) {
    var button = f.querySelector("button"), why = f.querySelector("[data-why]"), end = document.getElementById("end");
    var until = Date.now() + 1000 * Number(f.dataset.reading), seen = false;
    function show() {
      var left = Math.ceil((until - Date.now()) / 1000);
      button.disabled = !seen || left > 0;
      why.textContent = !seen ? "请滑动阅读到全文末尾" : left > 0 ? "请继续阅读（" + left + " 秒）" : "";
      if (left > 0) setTimeout(show, 250);
    }
    if (!window.IntersectionObserver) seen = true;
    else new IntersectionObserver(function (entries, o) {
      if (!entries.some(function (e) { return e.isIntersecting; })) return;
      seen = true;
      o.disconnect();
      show();
    }, { threshold: 0.5 }).observe(end);
    show();
  });

  // The pad: what is drawn is sent as a picture with the form.
  document.querySelectorAll("form[data-signing]").forEach(function (f) {
    var pad = f.querySelector("canvas"), hint = f.querySelector(".pad-hint"), said = f.querySelector("[data-unsigned]");
    var pen = pad.getContext("2d"), drawn = false, last = null, scale = Math.min(2, window.devicePixelRatio || 1);
    function fit() {
      var box = pad.getBoundingClientRect();
      pad.width = Math.round(box.width * scale);
      pad.height = Math.round(box.height * scale);
      pen.scale(scale, scale);
      pen.lineCap = pen.lineJoin = "round";
      pen.lineWidth = 3;
      pen.strokeStyle = "#101820";
      drawn = false;
      hint.hidden = false;
    }
    function at(e) {
      var box = pad.getBoundingClientRect();
      return { x: e.clientX - box.left, y: e.clientY - box.top };
    }
    pad.addEventListener("pointerdown", function (e) {
      e.preventDefault();
      pad.setPointerCapture(e.pointerId);
      last = at(e);
    });
    pad.addEventListener("pointermove", function (e) {
      if (!last) return;
      var to = at(e);
      pen.beginPath();
      pen.moveTo(last.x, last.y);
      pen.lineTo(to.x, to.y);
      pen.stroke();
      last = to;
      drawn = true;
      hint.hidden = said.hidden = true;
    });
    ["pointerup", "pointercancel"].forEach(function (n) { pad.addEventListener(n, function () { last = null; }); });
    f.querySelector("[data-clear]").addEventListener("click", fit);
    f.addEventListener("submit", function (e) {
      if (!drawn) {
        e.preventDefault();
        e.stopImmediatePropagation();
        said.hidden = false;
        pad.scrollIntoView({ block: "center" });
        return;
      }
      f.elements.signature.value = pad.toDataURL("image/png");
    }, true);
    fit();
  });
})();
