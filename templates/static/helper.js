// The pages that have the key helper on this PC do something to a USBKEY: set a new
// PIN, change the initial one, or write a certificate. The PIN goes to the helper and
// nowhere else. A page without a ticket (about.old) has no server to ask how it went.
(function () {
  "use strict";
  var page = document.getElementById("run");
  if (!page) return;
  var about = page.dataset, busy = false, over = false;
  var does = {
    unlock: { path: "/v1/unlock", ready: "UKEY 已就绪，请设置新口令。", doing: "正在设置新口令，请不要拔出 UKEY…" },
    change: { path: "/v1/pin", ready: "UKEY 已就绪，请设置自己的口令。", doing: "正在修改口令，请不要拔出 UKEY…" },
    write: { path: "/v1/run", ready: "UKEY 已就绪，请输入口令。", doing: "正在写入，请不要拔出 UKEY…" }
  }[about.does];
  var form = document.getElementById("pin-form"), pin = document.getElementById("pin"), go = document.getElementById("go");
  var again = document.getElementById("again"); // of a new PIN
  var fault = document.getElementById("pin-fault"), said = document.getElementById("said"), stay = document.getElementById("stay"), byHand = document.getElementById("by-hand");

  var length; // of a PIN, as the USBKEY that is plugged in wants it

  // rule is that in words, once a helper has told it.
  function rule() {
    return (length ? length.least + " 至 " + length.most + " 位" : "") + "数字";
  }

  function say(text, kind) {
    said.className = "note" + (kind ? " " + kind : "");
    said.textContent = text;
  }

  // way marks where on the way we are; what lies before is done.
  var ways = ["insert", "read", "write", "done"];
  function way(name) {
    var at = ways.indexOf(name);
    page.querySelectorAll("[data-way]").forEach(function (li) {
      var i = ways.indexOf(li.dataset.way);
      li.className = i < at || name === "done" ? "done" : i === at ? "now" : "";
    });
  }

  // ask asks the helper.
  function ask(path, options) {
    options = options || {};
    options.cache = "no-store";
    options.credentials = "omit";
    return fetch(about.helper + path, options).then(function (r) {
      return r.json().then(function (body) { return { ok: r.ok, body: body }; });
    });
  }

  // heard asks the server how far a helper is, also one that was started by hand.
  function heard() {
    return fetch(about.progress, { cache: "no-store", headers: { Accept: "application/json" } }).then(function (r) { return r.json(); });
  }

  // probe finds the helper and the right USBKEY, the named one or exactly one, and asks
  // again until both are there.
  function probe() {
    if (busy || over) return;
    ask("/v1/hello").then(function (r) {
      if (!r.ok) throw new Error("refused");
      byHand.hidden = true;
      var plugged = r.body.tokens;
      if (about.serial ? plugged.indexOf(about.serial) < 0 : plugged.length !== 1) {
        form.hidden = true;
        way("insert");
        say(!about.serial ? "请插入要写入的 UKEY，并且只插这一个。" : plugged.length ? "插入的不是这个 UKEY，请换上 " + about.serial + "。" : "请插入 UKEY " + about.serial + "。", "warn");
        setTimeout(probe, 1500);
        return;
      }
      if (form.hidden) {
        way("read");
        length = (r.body.pins || {})[about.serial];
        if (again) document.getElementById("pin-rule").textContent = rule() + "，建议 6 至 8 位";
        say(does.ready, "good");
        form.hidden = false;
        pin.focus();
      }
    }).catch(function () {
      form.hidden = true;
      byHand.hidden = false;
      say("没有检测到证书助手，可以用下面的方法继续。", "warn");
    });
  }

  function weak(p) {
    if (p.length < 6) return true;
    var steps = {};
    for (var i = 1; i < p.length; i++) steps[(p.charCodeAt(i) - p.charCodeAt(i - 1) + 10) % 10] = true;
    var kinds = Object.keys(steps);
    return kinds.length === 1 && ["0", "1", "9"].indexOf(kinds[0]) >= 0 || p.split(p.slice(0, 2)).join("") === "";
  }

  // complaint is what is wrong with a new PIN, which a second press may overrule when it
  // is merely weak.
  var warned = "";
  function complaint() {
    var n = pin.value.length;
    if (!/^[0-9]+$/.test(pin.value) || length && (n < length.least || n > length.most)) return "口令须为 " + rule();
    if (pin.value !== again.value) return "两次输入的口令不一致";
    if (weak(pin.value) && warned !== pin.value) {
      warned = pin.value;
      return "这个口令容易被猜到，建议换一个 6 至 8 位的；仍要使用请再点一次「确定」";
    }
    return "";
  }

  form.addEventListener("submit", function (e) {
    e.preventDefault();
    if (busy || over) return;
    fault.textContent = again ? complaint() : "";
    if (fault.textContent) return (again.value !== pin.value ? again : pin).focus();
    busy = go.disabled = true;
    way("write");
    say(does.doing, "warn");
    ask("/v1/hello").then(function (r) { // a fresh one-time nonce
      return ask(does.path, {
        method: "POST", headers: { "Content-Type": "application/json", "X-Helper-Nonce": r.body.nonce },
        body: JSON.stringify(about.old ? { token: about.serial, old: about.old, pin: pin.value } : { ticket: about.secret, pin: pin.value })
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
    if (about.old) return failed("与证书助手的连接中断。请确认证书助手还在运行，再试一次；提示原口令不正确的，说明新口令已经生效。", true);
    say("与证书助手的连接中断，正在确认结果，请不要拔出 UKEY…", "warn");
    heard().then(function (p) {
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
    if (stay) stay.hidden = true;
    page.querySelectorAll("#steps li").forEach(function (li) { li.className = "done"; });
    document.getElementById("failed").hidden = true;
    document.getElementById("finished").hidden = false;
  }

  // failed ends this ticket, or lets the PIN be corrected when nothing has happened yet.
  function failed(text, correctable) {
    busy = go.disabled = false;
    say(text, "bad");
    if (correctable) {
      way("read");
      fault.textContent = text;
      empty();
      pin.focus();
      return;
    }
    over = true;
    forget();
    document.getElementById("failed").hidden = false;
  }

  function empty() {
    pin.value = "";
    if (again) again.value = "";
  }

  function forget() {
    empty();
    form.hidden = byHand.hidden = true;
  }

  // elsewhere says that another window goes on with it; this one waits for the end.
  function elsewhere(text) {
    busy = true;
    say(text, "warn");
    forget();
    document.getElementById("failed").hidden = false;
  }

  var wayOf = { found: "read", secret: "read", write: "write", proof: "write" };
  function watch() {
    if (over) return;
    heard().then(function (p) {
      if (over) return;
      if (p.state === "done") return done();
      if (p.state === "failed") return failed(p.detail);
      if (p.state === "replaced") elsewhere(p.detail);
      if (p.state === "open" && wayOf[p.step]) {
        way(wayOf[p.step]);
        if (wayOf[p.step] === "write") say(does.doing, "warn");
      }
      setTimeout(watch, p.state === "replaced" ? 2000 : 700);
    }).catch(function () { setTimeout(watch, 2000); });
  }

  document.getElementById("probe").addEventListener("click", probe);
  probe();
  if (about.progress) watch();
})();
