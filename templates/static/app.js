// What the pages do by themselves. htmx does the rest.
(function () {
  "use strict";

  // Rows of tabs that are wider than a phone show the one where we are.
  document.querySelectorAll("nav [aria-current]").forEach(function (here) {
    here.scrollIntoView({ block: "nearest", inline: "center" });
  });

  // Steppers: the buttons change the number beside them.
  document.addEventListener("click", function (e) {
    var b = e.target.closest("[data-step]");
    if (!b) return;
    var input = b.parentNode.querySelector("input");
    var n = (parseInt(input.value, 10) || 0) + Number(b.dataset.step);
    n = Math.min(Number(input.max), Math.max(Number(input.min), n));
    if (String(n) === input.value) return;
    input.value = n;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // 同经办人: copies fields, "from:to from:to".
  document.addEventListener("click", function (e) {
    var b = e.target.closest("[data-copy]");
    if (!b) return;
    b.dataset.copy.split(" ").forEach(function (pair) {
      var names = pair.split(":");
      var from = document.getElementsByName(names[0])[0], to = document.getElementsByName(names[1])[0];
      if (!from || !to) return;
      to.value = from.value;
      to.dispatchEvent(new Event("change", { bubbles: true }));
    });
  });

  // 是否应为 …？: puts what is suggested into the field it is suggested for.
  document.addEventListener("click", function (e) {
    var b = e.target.closest("[data-fill]");
    if (!b) return;
    var to = document.getElementsByName(b.dataset.fill)[0];
    to.value = b.textContent;
    to.focus();
    to.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // The form is sent as a whole; the server wants to know which field changed.
  document.addEventListener("htmx:configRequest", function (e) {
    var cause = e.detail.triggeringEvent;
    if (cause && cause.target && cause.target.name) e.detail.headers["X-Changed"] = cause.target.name;
  });

  // Dialogs.
  document.addEventListener("click", function (e) {
    var open = e.target.closest("[data-open]");
    if (open) {
      var form = open.closest("form");
      if (form && !form.reportValidity()) return;
      document.getElementById(open.dataset.open).showModal();
    }
    var close = e.target.closest("[data-close]");
    if (close) close.closest("dialog").close();
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", function (e) {
    var form = e.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) return e.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(function () { delete form.dataset.sent; }, 4000);
  });

  // A picture that is too large is refused here: the server hangs up on it.
  document.addEventListener("change", function (e) {
    var input = e.target, file = input.files && input.files[0];
    if (!file) return;
    var at = input.closest(".shot, .field"), said = at.querySelector(".fault");
    if (said) said.remove();
    if (file.size <= 8388608) return;
    e.stopPropagation(); // before htmx sends it
    input.value = "";
    said = at.appendChild(document.createElement("p"));
    said.className = "fault center";
    said.setAttribute("role", "alert");
    said.textContent = "图片超过 8M，请压缩或重新拍摄";
  }, true);

  // A page that was open before a login or its end takes the token that holds now, and
  // sends once more what was refused for the old one.
  document.addEventListener("htmx:responseError", function (e) {
    var token = e.detail.xhr.getResponseHeader("X-CSRF-Token"), cause = e.detail.requestConfig.triggeringEvent;
    var headers = JSON.parse(document.body.getAttribute("hx-headers"));
    if (!token || headers["X-CSRF-Token"] === token) return;
    headers["X-CSRF-Token"] = token;
    document.body.setAttribute("hx-headers", JSON.stringify(headers));
    document.getElementsByName("_csrf").forEach(function (input) { input.value = token; });
    if (cause) htmx.trigger(e.detail.elt, cause.type);
  });

  // What went wrong is said until something goes well or it is put aside, also when
  // nobody could be asked.
  function nothingToSay() { document.getElementById("notice").textContent = ""; }
  document.addEventListener("htmx:afterRequest", function (e) {
    if (e.detail.successful && e.detail.requestConfig.verb === "post") nothingToSay();
  });
  document.addEventListener("click", function (e) { if (e.target.closest("[data-dismiss]")) nothingToSay(); });
  document.addEventListener("htmx:sendError", function (e) {
    if (e.detail.requestConfig.verb !== "post") return; // asked again by itself
    var note = document.createElement("div");
    note.className = "note bad now";
    note.setAttribute("role", "alert");
    note.textContent = "网络不通，刚才的内容还没有保存。请检查网络后再试一次，已填写的内容还在。";
    document.getElementById("notice").replaceChildren(note);
  });

  // 获取验证码: the seconds until the next one may be asked for.
  function countDown(root) {
    root.querySelectorAll("[data-wait]").forEach(function (b) {
      if (b.dataset.ticking) return;
      b.dataset.ticking = "yes";
      var end = Date.now() + 1000 * Number(b.dataset.wait), text = b.dataset.again;
      (function tick() {
        var left = Math.ceil((end - Date.now()) / 1000);
        if (!b.isConnected) return;
        b.disabled = left > 0;
        b.textContent = left > 0 ? text + "（" + left + " 秒）" : text;
        if (left > 0) setTimeout(tick, 250);
      })();
    });
  }

  // Live state: the server says that something changed, the page asks what.
  function watch(root) {
    root.querySelectorAll("[data-live]").forEach(function (el) {
      if (el.dataset.watching || !window.EventSource) return;
      el.dataset.watching = "yes";
      var source = new EventSource(el.dataset.live), rev = el.dataset.rev;
      function changed(e) {
        if (!el.isConnected) return source.close();
        if (e.data === rev) return;
        rev = e.data;
        htmx.trigger(el, "changed");
      }
      source.addEventListener("hello", changed);
      source.addEventListener("changed", changed);
      window.addEventListener("pagehide", function () { source.close(); });
    });
  }

  function ready(root) {
    countDown(root);
    watch(root);
  }

  document.addEventListener("DOMContentLoaded", function () {
    ready(document);
    document.querySelectorAll("dialog[data-show]").forEach(function (d) { d.showModal(); });
    var faults = document.getElementById("faults");
    if (faults) { // after a submission: to the first field at fault
      faults.focus();
      var first = faults.querySelector("a[href^='#']"), at = first && document.getElementById(first.hash.slice(1));
      if (at) at.scrollIntoView({ block: "center" });
    }
  });
  document.addEventListener("htmx:load", function (e) { ready(e.detail.elt); });

  // A page shown again from the browser's memory may be old (WeChat on iOS).
  window.addEventListener("pageshow", function (e) { if (e.persisted) location.reload(); });
})();
