// The page that has the key helper on this PC write a certificate. The PIN goes to
// the helper and nowhere else.
(function () {
  "use strict";
  var run = document.getElementById("write");
  if (!run) return;
  var helper = run.dataset.helper, busy = false, over = false;
  var form = document.getElementById("pin-form"), pin = document.getElementById("pin"), go = document.getElementById("go");
  var fault = document.getElementById("pin-fault"), said = document.getElementById("said"), byHand = document.getElementById("by-hand");

  function say(text, kind) {
    said.className = "note" + (kind ? " " + kind : "");
    said.textContent = text;
  }

  // way marks where on the way we are; what lies before is done.
  var ways = ["insert", "read", "write", "done"];
  function way(name) {
    var at = ways.indexOf(name);
    run.querySelectorAll("[data-way]").forEach(function (li) {
      var i = ways.indexOf(li.dataset.way);
      li.className = i < at || name === "done" ? "done" : i === at ? "now" : "";
    });
  }

  function ask(path, options) {
    options = options || {};
    options.cache = "no-store";
    options.credentials = "omit";
    return fetch(helper + path, options).then(function (r) {
      return r.json().then(function (body) { return { ok: r.ok, body: body }; });
    });
  }

  // there reports whether the right key is plugged in: the named one, or exactly one.
  function there(tokens) {
    return run.dataset.serial ? tokens.indexOf(run.dataset.serial) >= 0 : tokens.length === 1;
  }

  // probe finds the helper and the key, and asks again until both are there.
  function probe() {
    if (busy || over) return;
    ask("/v1/hello").then(function (r) {
      if (!r.ok) throw new Error("refused");
      byHand.hidden = true;
      if (!there(r.body.tokens)) {
        form.hidden = true;
        way("insert");
        say(!run.dataset.serial ? "请插入要写入的 UKEY，并且只插这一个。" : r.body.tokens.length ? "插入的不是这个 UKEY，请换上 " + run.dataset.serial + "。" : "请插入 UKEY " + run.dataset.serial + "。", "warn");
        setTimeout(probe, 1500);
        return;
      }
      if (form.hidden) {
        way("read");
        say("UKEY 已就绪，请输入口令。", "good");
        form.hidden = false;
        pin.focus();
      }
    }).catch(function () {
      form.hidden = true;
      byHand.hidden = false;
      say("没有检测到证书助手，可以用下面的方法继续。", "warn");
    });
  }

  form.addEventListener("submit", function (e) {
    e.preventDefault();
    if (busy || over) return;
    fault.textContent = "";
    busy = go.disabled = true;
    way("write");
    say("正在写入，请不要拔出 UKEY…", "warn");
    ask("/v1/hello").then(function (r) { // a fresh one-time nonce
      return ask("/v1/run", {
        method: "POST", headers: { "Content-Type": "application/json", "X-Helper-Nonce": r.body.nonce },
        body: JSON.stringify({ ticket: run.dataset.secret, pin: pin.value })
      });
    }).then(function (r) {
      if (!r.ok) return failed(r.body.detail || "办理没有完成，请重新开始。", r.body.again);
      done();
    }).catch(function () {
      lost(5);
    });
  });

  // lost asks the server, who may have heard of the end that we have not.
  function lost(times) {
    say("与证书助手的连接中断，正在确认结果，请不要拔出 UKEY…", "warn");
    fetch(run.dataset.ticket, { cache: "no-store", headers: { Accept: "application/json" } }).then(function (r) {
      return r.json();
    }).then(function (p) {
      if (over) return;
      if (p.state === "done") return done();
      if (p.state !== "open") times = 0;
      throw p;
    }).catch(function () {
      if (over) return;
      if (times > 0) return setTimeout(function () { lost(times - 1); }, 1000);
      failed("与证书助手的连接中断。请确认证书助手还在运行。");
    });
  }

  function done() {
    over = true;
    forget();
    way("done");
    said.hidden = true;
    document.getElementById("finished").hidden = false;
  }

  // failed ends this ticket, or lets the PIN be corrected when nothing has happened yet.
  function failed(text, again) {
    busy = go.disabled = false;
    say(text, "bad");
    if (again) { way("read"); fault.textContent = text; pin.value = ""; pin.focus(); return; }
    over = true;
    forget();
    document.getElementById("failed").hidden = false;
  }

  function forget() {
    pin.value = "";
    form.hidden = byHand.hidden = true;
  }

  // The server knows how far a helper is, also one that was started by hand.
  function watch() {
    if (over) return;
    fetch(run.dataset.ticket, { cache: "no-store", headers: { Accept: "application/json" } }).then(function (r) {
      return r.json();
    }).then(function (p) {
      if (over) return;
      if (p.state === "done") return done();
      if (p.state === "failed" || p.state === "replaced") return failed(p.detail || "办理凭证已失效，请重新开始。");
      if (p.state === "open" && p.step === "write") {
        way("write");
        say("正在写入，请不要拔出 UKEY…", "warn");
      }
      setTimeout(watch, 700);
    }).catch(function () { setTimeout(watch, 2000); });
  }

  document.getElementById("probe").addEventListener("click", probe);
  probe();
  watch();
})();
