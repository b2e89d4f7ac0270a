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
    if (!input.hasAttribute("aria-describedby")) input.setAttribute("aria-describedby", input.id + "-large");
    said.id = input.getAttribute("aria-describedby").split(" ").pop();
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

  // What changes by itself is said when it says something else than before, in a place
  // that stays while the page around it is exchanged: data-say names what of it is said.
  var told = {}, voice;
  function say(root) {
    var all = Array.from(root.querySelectorAll("[data-say]"));
    if (root.matches && root.matches("[data-say]")) all.push(root);
    all.forEach(function (el) {
      var key = el.id || el.classList[0], before = told[key];
      var words = Array.from(el.querySelectorAll(el.dataset.say), function (p) { return p.textContent.trim(); }).join(" ").replace(/\s+/g, " ");
      told[key] = words;
      if (before !== undefined && before !== words && voice) voice.textContent = words;
    });
  }

  // Faults that the server finds while somebody types are bound to their fields, and
  // one that has been said is not said again.
  document.addEventListener("htmx:oobBeforeSwap", function (e) {
    var d = e.detail;
    if (d.target.getAttribute("role") === "alert" && d.target.textContent.trim() === d.fragment.textContent.trim()) d.shouldSwap = false;
  });
  document.addEventListener("htmx:oobAfterSwap", function () {
    document.querySelectorAll(".field > .fault[id^='err-']").forEach(function (fault) {
      var wrong = fault.textContent.trim() !== "", field = fault.parentNode;
      field.classList.toggle("wrong", wrong);
      field.querySelectorAll("[aria-describedby~='" + fault.id + "']:not([type=radio], [type=checkbox])").forEach(function (control) {
        if (wrong) control.setAttribute("aria-invalid", "true"); else control.removeAttribute("aria-invalid");
      });
    });
  });

  // Whoever works by keyboard stays where he was when that is exchanged.
  var held = null;
  document.addEventListener("htmx:beforeSwap", function (e) {
    var at = document.activeElement;
    held = at && !at.id && e.detail.target.contains(at) ? at : null;
  });
  function stay(root) {
    if (!held || document.activeElement !== document.body) return;
    var words = held.textContent.trim();
    var to = Array.from(root.querySelectorAll(held.tagName)).find(function (el) { return !el.disabled && el.textContent.trim() === words; }) ||
      (root.closest(".code") || root).querySelector("input:not([type=hidden]), a[href], button:not([disabled])");
    held = null;
    if (to) to.focus();
  }

  function ready(root) {
    countDown(root);
    watch(root);
    say(root);
    stay(root);
  }

  document.addEventListener("DOMContentLoaded", function () {
    voice = document.createElement("p");
    voice.id = "voice";
    voice.className = "sr";
    voice.setAttribute("role", "status");
    document.querySelector("main").append(voice);
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
