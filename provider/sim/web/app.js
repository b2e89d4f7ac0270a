// The playground's page: polls the control API once a second while visible and draws what changed.
'use strict';

const control = '/playground/control/';
const roles = { applicant: '申请人', reviewer: '审核员', issuer: '制证员', shipper: '发货员', finance: '财务', admin: '管理员', legal_rep: '法定代表人' };
const states = {
  NOTPAY: ['待支付', 'warn'], PAYERROR: ['支付失败', 'bad'], SUCCESS: ['已支付', 'good'], REFUND: ['已退款', ''], CLOSED: ['已关闭', ''],
};
const familyNames = {
  token: '公众号凭证', template: '模板消息', subscribe: '订阅通知', custom: '客服消息', account: '公众号其他接口', oauth: '网页授权', mini: '小程序接口',
  'pay.native': '支付下单', 'pay.jsapi': '小程序支付下单', 'pay.query': '支付查询', 'pay.close': '支付关单', 'pay.refund': '退款', 'pay.refund.end': '退款结果（错误码 ABNORMAL 或 CLOSED）',
  'alipay.precreate': '支付宝下单', 'alipay.query': '支付宝查询', 'alipay.close': '支付宝关单', 'alipay.refund': '支付宝退款',
  'sms.send': '短信发送', 'sms.status': '短信回执', faceid: '实名核验', 'invoice.issue': '发票开具', 'invoice.red': '发票冲红', 'invoice.query': '发票查询', 'invoice.file': '发票下载', 'invoice.notify': '开票通知',
  'courier.poll': '快递订阅', callback: '公众号回调', notify: '支付通知', 'courier.push': '快递推送',
};
let state = null;
let fetchedAt = 0;
const drawn = {}; // what each panel shows, to redraw only what changed
const viaNames = { template: '模板消息', subscription: '订阅通知', mini_subscription: '小程序订阅消息' };
const chosen = { chat: [], pay: '', alipay: '', sms: '', templates: '' };

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// h builds an element; text is always text, never markup.
function h(tag, attrs = {}, ...children) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(attrs)) {
    if (key === 'onclick') el.addEventListener('click', value);
    else if (value !== undefined && value !== false) el.setAttribute(key, value === true ? '' : value);
  }
  el.append(...children.flat().filter((c) => c || c === 0));
  return el;
}

const dateFormat = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Asia/Shanghai', dateStyle: 'short', timeStyle: 'medium' });
const weekdayFormat = new Intl.DateTimeFormat('zh-CN', { timeZone: 'Asia/Shanghai', weekday: 'short' });
const fullClock = (d) => { // 2026-11-23 周一 09:00:00
  const [day, time] = dateFormat.format(d).split(' ');
  return `${day} ${weekdayFormat.format(d)} ${time}`;
};
const timeFormat = new Intl.DateTimeFormat('zh-CN', { timeZone: 'Asia/Shanghai', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const dayFormat = new Intl.DateTimeFormat('zh-CN', { timeZone: 'Asia/Shanghai', month: '2-digit', day: '2-digit' });
const when = (at) => {
  const d = new Date(at);
  const today = dayFormat.format(now()) === dayFormat.format(d);
  return today ? timeFormat.format(d) : dayFormat.format(d) + ' ' + timeFormat.format(d).slice(0, 5);
};
const now = () => new Date(Date.parse(state.clock.now) + (Date.now() - fetchedAt));
const yuan = (fen) => '¥' + (fen / 100).toFixed(2);

let toastTimer;
function toast(text) {
  const el = $('#toast');
  el.textContent = text;
  el.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { el.hidden = true; }, 2600);
}

async function send(path, body, method = 'POST') {
  const resp = await fetch(path, { method, headers: { 'Content-Type': 'application/json' }, body: method === 'POST' ? JSON.stringify(body) : undefined });
  const answer = await resp.json().catch(() => ({}));
  if (!resp.ok) throw Object.assign(new Error(answer.error || 'HTTP ' + resp.status), { status: resp.status });
  return answer;
}

// act runs a command, tells what went wrong, and refreshes.
async function act(path, body, done) {
  try {
    const answer = await send(control + path, body);
    if (done) toast(typeof done === 'function' ? done(answer) : done);
  } catch (e) {
    toast(e.message);
  }
  await refresh();
}

const person = (openid) => state.personas.find((p) => p.openid === openid);
const owner = (mobile) => state.personas.find((p) => p.mobile === mobile);

// visit opens a link as a persona: the OAuth chooser then offers that one first.
function visit(openid) {
  document.cookie = 'sim_persona=' + encodeURIComponent(openid) + '; path=/playground/; SameSite=Lax';
}

function copyable(text, extra = '') {
  return h('button', {
    type: 'button', class: 'copy mono ' + extra, title: '复制',
    onclick: async () => {
      try { await navigator.clipboard.writeText(text); toast('已复制 ' + text); } catch { toast(text); }
    },
  }, text);
}

// rich turns WeChat's <a href> and bare links into elements, everything else into text.
function rich(text, openid) {
  const parts = [];
  const pattern = /<a\s+href=["']([^"']+)["'][^>]*>([\s\S]*?)<\/a>|(https?:\/\/[^\s<>"'，。；）]+)/g;
  let from = 0;
  for (const m of text.matchAll(pattern)) {
    parts.push(text.slice(from, m.index));
    from = m.index + m[0].length;
    const target = m[1] || m[3];
    if (target.startsWith('weixin://bizmsgmenu')) {
      const say = new URLSearchParams(target.split('?')[1]).get('msgmenucontent');
      parts.push(h('a', { href: '#', onclick: (e) => { e.preventDefault(); act('chat', { persona: openid, text: say }); } }, m[2]));
    } else if (/^https?:\/\//.test(target)) {
      parts.push(h('a', { href: target, target: '_blank', rel: 'noopener', onclick: () => visit(openid) }, m[2] || target));
    } else {
      parts.push(m[2] || target);
    }
  }
  parts.push(text.slice(from));
  return parts;
}

function card(c, openid) {
  return h('article', { class: 'card' },
    h('h3', {}, c.title),
    h('dl', {}, (c.lines || []).flatMap((l) => [h('dt', {}, l.label), h('dd', {}, l.value)])),
    c.url && h('a', { class: 'open', href: c.url, target: '_blank', rel: 'noopener', onclick: () => visit(openid) }, h('span', {}, '查看详情'), h('span', {}, '›')),
    !c.url && c.miniprogram && h('button', { type: 'button', class: 'open', onclick: () => openMini(openid, c.miniprogram.pagepath) }, h('span', {}, '打开小程序'), h('span', {}, '›')));
}

function bubble(m) {
  if (m.template) return card(m.template, m.openid);
  if (m.articles) {
    return h('div', { class: 'news' }, m.articles.map((a) => h('p', {},
      h('a', { href: /^https?:/.test(a.url) ? a.url : undefined, target: '_blank', rel: 'noopener', onclick: () => visit(m.openid) }, a.title),
      h('br'), h('small', { class: 'muted' }, a.description))));
  }
  if (m.from === 'system') return h('p', { class: 'notice' }, m.text);
  return h('div', { class: 'bubble ' + m.from, title: when(m.at) }, m.from === 'account' ? rich(m.text, m.openid) : m.text);
}

// changed is also true when a new day begins: times are then shown with their date.
function changed(name, data) {
  const key = dayFormat.format(now()) + JSON.stringify(data);
  if (drawn[name] === key) return false;
  drawn[name] = key;
  return true;
}

function fill(name, data, draw, empty) {
  if (!changed(name, data)) return;
  const list = $('#' + name + ' .list');
  list.replaceChildren(...(data.length ? data.map(draw) : [h('p', { class: 'empty' }, empty)]));
}

function options(select, list, value) {
  select.replaceChildren(...list.map(([v, label]) => h('option', { value: v }, label)));
  select.value = value;
}

function drawChats() {
  for (const panel of $$('[data-chat]')) {
    const index = Number(panel.dataset.chat);
    const openid = chosen.chat[index];
    const p = person(openid);
    const messages = state.messages.filter((m) => m.openid === openid);
    if (changed('follow' + index, [openid, p.following])) {
      $('.follow', panel).textContent = p.following ? '取消关注' : '关注';
      $$('.say input, .say button, .quick button', panel).forEach((el) => { el.disabled = !p.following; });
    }
    if (changed('menu' + index, [openid, p.menu])) drawMenu($('.menu', panel), p);
    if (changed('thread' + index, [openid, messages])) {
      const thread = $('.thread', panel);
      const stick = thread.dataset.openid !== openid || thread.scrollTop + thread.clientHeight > thread.scrollHeight - 60;
      thread.dataset.openid = openid;
      thread.replaceChildren(...(messages.length ? messages.map(bubble) : [h('p', { class: 'notice' }, '还没有消息，向公众号说点什么')]));
      if (stick) thread.scrollTop = thread.scrollHeight;
    }
  }
}

function drawMenu(bar, p) {
  const buttons = (p.menu && p.menu.button) || [];
  bar.hidden = buttons.length === 0;
  const press = (b) => {
    $$('.sub', bar).forEach((el) => { el.hidden = true; });
    if (b.type === 'click') act('click', { persona: p.openid, key: b.key });
    else if (b.type === 'miniprogram') openMini(p.openid, b.pagepath);
    else if (b.url) { visit(p.openid); window.open(b.url, '_blank', 'noopener'); }
  };
  bar.replaceChildren(...buttons.map((b) => {
    const children = b.sub_button || [];
    if (!children.length) return h('div', {}, h('button', { type: 'button', onclick: () => press(b) }, b.name));
    const sub = h('div', { class: 'sub', hidden: true }, children.map((c) => h('button', { type: 'button', onclick: () => press(c) }, c.name)));
    const open = () => {
      const was = sub.hidden;
      $$('.sub', bar).forEach((el) => { el.hidden = true; });
      sub.hidden = !was;
    };
    return h('div', {}, sub, h('button', { type: 'button', onclick: open }, '≡ ' + b.name));
  }));
}

// panelOf is the phone that a trade is paid with.
const panelOf = (t) => (t.channel === 'alipay' ? 'alipay' : 'pay');

function drawTrade(t) {
  const [label, tone] = states[t.trade_state];
  const open = t.trade_state === 'NOTPAY' || t.trade_state === 'PAYERROR';
  const paid = t.trade_state === 'SUCCESS' || t.trade_state === 'REFUND';
  const pay = (how, text, primary) => h('button', {
    type: 'button', class: primary ? 'primary' : '',
    onclick: () => act('pay', { out_trade_no: t.out_trade_no, how, persona: chosen[panelOf(t)] }, (r) => outcome(how, r)),
  }, text);
  return h('div', { class: 'item' },
    h('div', { class: 'row' }, h('span', {}, t.description), h('span', { class: 'tag ' + tone }, label)),
    h('div', { class: 'row' }, h('span', { class: 'amount' }, yuan(t.total)), h('span', { class: 'when' }, when(t.paid_at || t.created_at))),
    h('div', { class: 'trade-no mono' }, t.out_trade_no),
    t.refunded ? h('div', { class: 'small muted' }, '已退 ' + yuan(t.refunded)) : null,
    state.refunds.filter((r) => r.channel === t.channel && r.out_trade_no === t.out_trade_no && r.status !== 'SUCCESS').map(drawRefund),
    open && h('div', { class: 'acts' }, pay('pay', t.prepay_id ? '支付' : '扫码支付', true), pay('twice', '重复支付'), pay('fail', '支付失败'), pay('lose', '丢失通知')),
    open && h('div', { class: 'acts quiet' }, pay('wrong-amount', '少一分的通知'), pay('forged', '伪造的通知')),
    paid && h('div', { class: 'acts quiet' }, pay('repeat', '再发一次通知')));
}

// drawRefund is a refund that has not arrived, with what the merchant's console can do about it.
function drawRefund(r) {
  const to = (where, text) => h('button', { type: 'button', onclick: () => act('refund', { out_refund_no: r.out_refund_no, to: where }, '已处理异常退款') }, text);
  const label = { PROCESSING: '退款中', ABNORMAL: '退款异常：付款人的银行卡已注销', CLOSED: '退款关闭：商户余额不足超过 7 天' }[r.status];
  return h('div', { class: 'small' }, label, r.status === 'ABNORMAL' && h('div', { class: 'acts quiet' }, to('USER_BANK_CARD', '退到用户银行卡'), to('MERCHANT_BANK_CARD', '退回商户账户')));
}

function outcome(how, r) {
  const last = r.notices.at(-1);
  if (how === 'fail') return '支付失败，未扣款';
  if (how === 'lose') return '已扣款，通知已丢失';
  const attempt = last && last.attempts.at(-1);
  if (!attempt) return '完成';
  if (how === 'wrong-amount' || how === 'forged') return '商户应答 HTTP ' + (attempt.status || attempt.error) + (last.delivered ? '，接受了（不应该）' : '，已拒绝');
  return last.delivered ? '支付通知已送达' : '通知未送达（HTTP ' + (attempt.status || '无应答') + '），稍后重试';
}

function drawParcel(p) {
  const move = (how, text) => h('button', { type: 'button', onclick: () => act('parcel', { number: p.number, how }, pushed) }, text);
  const line = (m) => h('div', { class: 'small' }, h('span', { class: 'when' }, when(m.at)), ' ', m.text);
  return h('div', { class: 'item' },
    h('div', { class: 'row' }, h('span', { class: 'mono' }, p.number), h('span', { class: 'tag' + (p.state === '3' ? ' good' : '') }, p.label)),
    p.moves.slice(-3).reverse().map(line),
    h('div', { class: 'acts' }, move('pick_up', '揽收'), move('transit', '在途'), move('deliver', '派送'), move('sign', '签收'), move('return', '退回'), move('back', '退签')),
    h('div', { class: 'acts quiet' }, move('trouble', '派送失败'), move('repeat', '再推一次'), move('late', '迟到的推送'), move('forge', '伪造的签收')));
}

function pushed(p) {
  const push = p.pushes.at(-1), attempt = push.attempts.at(-1);
  if (push.how === 'forge') return '伪造的推送：HTTP ' + (attempt.status || attempt.error) + (push.taken ? '，接受了（不应该）' : '，已拒绝');
  return push.taken ? '推送已送达' : '推送未送达（HTTP ' + (attempt.status || '无应答') + '），稍后重试';
}

const printed = { 1: ['处理中', 'warn'], 2: ['失败', 'bad'], 5: ['已开具', 'good'] };

function drawInvoice(v) {
  const red = v.red && v.red.status;
  const [label, tone] = red ? [{ 1: '红冲中', 2: '红冲失败', 5: '已红冲' }[v.red.status], v.red.status === 1 ? 'warn' : v.red.status === 2 ? 'bad' : ''] : printed[v.blue.status];
  const open = (red ? v.red : v.blue).status === 1;
  const tell = (how, text, primary) => h('button', {
    type: 'button', class: primary ? 'primary' : '', onclick: () => act('invoice', { order_id: v.order_id, how }, (r) => told(how, r)),
  }, text);
  return h('div', { class: 'item' },
    h('div', { class: 'row' }, h('span', {}, v.buyer_title), h('span', { class: 'tag ' + tone }, label)),
    h('div', { class: 'row' }, h('span', { class: 'amount' }, yuan(v.total)), h('span', { class: 'when' }, v.blue.ticket_date ? when(v.blue.ticket_date) : '')),
    v.blue.ticket_sn && h('div', { class: 'trade-no mono' }, v.blue.ticket_sn),
    red && v.red.ticket_sn && h('div', { class: 'trade-no mono' }, '红字 ' + v.red.ticket_sn),
    (red ? v.red : v.blue).message && h('div', { class: 'small muted' }, (red ? v.red : v.blue).message),
    open && h('div', { class: 'acts' }, tell('issue', '开具', true), tell('fail', '退回'), tell('lose', '开具但丢失通知')),
    h('div', { class: 'acts quiet' }, !open && tell('repeat', '再发一次通知'), tell('wrong-amount', '少一分的通知'), tell('forged', '伪造的通知')));
}

function told(how, r) {
  const last = r.notices.at(-1);
  const attempt = last && last.attempts.at(-1);
  if (!attempt) return '已处理，通知已丢失';
  if (how === 'wrong-amount' || how === 'forged') return '商户应答 HTTP ' + (attempt.status || attempt.error) + (last.delivered ? '，接受了（不应该）' : '，已拒绝');
  return last.delivered ? '开票通知已送达' : '通知未送达（HTTP ' + (attempt.status || '无应答') + '），稍后重试';
}

function drawText(m) {
  const p = owner(m.mobile);
  const parts = m.text.split(/(\b\d{6}\b|https?:\/\/[^\s，。]+)/).map((part) => {
    if (/^\d{6}$/.test(part)) return copyable(part);
    if (/^https?:/.test(part)) return h('a', { href: part, target: '_blank', rel: 'noopener', onclick: () => p && visit(p.openid) }, part);
    return part;
  });
  return h('div', { class: 'item' },
    h('div', { class: 'row' }, h('span', { class: 'small muted' }, (p ? p.name + ' ' : '') + m.mobile), h('span', { class: 'when' }, when(m.at))),
    h('div', {}, parts));
}

function drawPerson(p) {
  return h('div', { class: 'item person' },
    h('span', { class: 'avatar ' + p.role, 'aria-hidden': 'true' }, p.name.slice(0, 1)),
    h('div', { class: 'body' },
      h('div', { class: 'row' }, h('b', {}, p.name), h('span', { class: 'tag' + (p.following ? ' good' : '') }, (roles[p.role] || p.role) + (p.following ? '' : ' · 未关注'))),
      h('div', { class: 'small' }, h('span', { class: 'muted' }, '手机 '), copyable(p.mobile)),
      p.id_number && h('div', { class: 'small' }, h('span', { class: 'muted' }, '身份证 '), copyable(p.id_number)),
      h('div', { class: 'small muted' }, 'OpenID ', copyable(p.openid)),
      p.totp && h('div', { class: 'row' }, h('span', { class: 'small muted' }, '动态口令'), copyable(p.totp, 'totp'))));
}

function drawFault(f) {
  const what = [f.delay_ms && f.delay_ms + ' 毫秒后', f.after && '生效后丢失应答', f.status && 'HTTP ' + f.status, f.code && '错误码 ' + f.code, f.repeat && '多发 ' + f.repeat + ' 次'].filter(Boolean).join('，');
  return h('div', { class: 'item row' },
    h('span', {}, h('b', {}, familyNames[f.family] || f.family), ' ', what),
    h('span', { class: 'tag bad' }, f.times < 0 ? '一直' : '剩 ' + f.times + ' 次'));
}

function drawMoment(e) {
  return h('div', { class: 'moment ' + e.kind }, h('span', { class: 'when' }, when(e.at)), h('i'), h('span', {}, e.text));
}

const who = (value) => !value || value === 'all';

function draw() {
  drawChats();
  for (const panel of ['pay', 'alipay']) fill(panel, state.trades.filter((t) => panelOf(t) === panel), drawTrade, '还没有待支付的二维码');
  fill('parcels', state.parcels, drawParcel, '还没有寄出的包裹');
  fill('invoices', state.invoices, drawInvoice, '还没有申请开票');
  $('#invoices .plan').value = state.invoice_plan;
  fill('sms', state.sms.filter((m) => who(chosen.sms) || m.mobile === chosen.sms), drawText, '还没有短信');
  fill('templates', state.templates.filter((m) => who(chosen.templates) || m.openid === chosen.templates), (m) => h('div', { class: 'item' },
    h('div', { class: 'row' }, h('span', { class: 'small muted' }, person(m.openid)?.name || m.openid), h('span', { class: 'tag' }, viaNames[m.via] || viaNames.template), h('span', { class: 'when' }, when(m.at))),
    card(m.card, m.openid)), '还没有通知');
  fill('personas', state.personas.map(({ menu, ...p }) => p), drawPerson, '');
  fill('faults', state.faults, drawFault, '一切正常');
  fill('timeline', state.timeline, drawMoment, '还没有事情发生');
}

const miniAddress = (openid, page) => '/playground/mp/?persona=' + encodeURIComponent(openid) + (page ? '#/' + page : '');

// miniFrame opens the mini-program anew, as WeChat does when it is opened from outside: in a frame of its own, since
// an address that differs only behind the # would not load again.
function miniFrame(panel, page) {
  const was = $('iframe', panel);
  was.replaceWith(h('iframe', { title: was.title, src: miniAddress($('.who', panel).value, page) }));
}

// openMini opens a page of the mini-program on the phone of whoever tapped: the frame that is his, else the first.
function openMini(openid, page) {
  const frames = $$('[data-mini]');
  const panel = frames.find((f) => $('.who', f).value === openid) || frames[0];
  $('.who', panel).value = openid;
  miniFrame(panel, page);
  show(panel.id);
  panel.scrollIntoView({ block: 'nearest' });
}

// setUp fills the choices once, when the personas are known.
function setUp() {
  const people = state.personas.map((p) => [p.openid, p.name]);
  const byRole = (role) => (state.personas.find((p) => p.role === role) || state.personas[0]).openid;
  for (const panel of $$('[data-chat]')) {
    const index = Number(panel.dataset.chat);
    chosen.chat[index] = byRole(index === 0 ? 'applicant' : 'reviewer');
    options($('.who', panel), people, chosen.chat[index]);
    $('.who', panel).addEventListener('change', (e) => { chosen.chat[index] = e.target.value; draw(); });
    $('.say', panel).addEventListener('submit', (e) => {
      e.preventDefault();
      const text = e.target.text.value.trim();
      if (!text) return;
      e.target.text.value = '';
      act('chat', { persona: chosen.chat[index], text });
    });
    $$('.quick button', panel).forEach((b) => b.addEventListener('click', () => act('chat', { persona: chosen.chat[index], text: b.textContent })));
    $('.follow', panel).addEventListener('click', () => act(person(chosen.chat[index]).following ? 'unfollow' : 'follow', { persona: chosen.chat[index] }));
  }
  for (const panel of $$('[data-mini]')) {
    const who = $('.who', panel);
    options(who, people, byRole(panel.dataset.mini === '0' ? 'applicant' : 'reviewer'));
    who.addEventListener('change', () => miniFrame(panel));
    $('.reload', panel).addEventListener('click', () => miniFrame(panel));
    $('iframe', panel).src = miniAddress(who.value);
  }
  $('#invoices .plan').addEventListener('change', (e) => act('invoice', { plan: e.target.value }));
  for (const panel of ['pay', 'alipay']) {
    chosen[panel] = byRole('applicant');
    options($('#' + panel + ' .who'), people, chosen[panel]);
    $('#' + panel + ' .who').addEventListener('change', (e) => { chosen[panel] = e.target.value; });
  }
  options($('#sms .who'), [['all', '全部号码'], ...state.personas.map((p) => [p.mobile, p.name])], 'all');
  $('#sms .who').addEventListener('change', (e) => { chosen.sms = e.target.value; draw(); });
  options($('#templates .who'), [['all', '全部'], ...people], 'all');
  $('#templates .who').addEventListener('change', (e) => { chosen.templates = e.target.value; draw(); });
  $$('#templates .agree button').forEach((b) => b.addEventListener('click', () => act('subscribe', { persona: who(chosen.templates) ? byRole('applicant') : chosen.templates, where: b.dataset.where })));
  options($('.inject select[name=family]'), state.families.map((f) => [f, familyNames[f] || f]), state.families[0]);
  limitKinds();
}

const faultOf = {
  500: () => ({ status: 500 }), delay: () => ({ delay_ms: 3000 }), after: () => ({ after: true }),
  code: (form) => ({ code: form.code.value.trim() }), repeat: () => ({ repeat: 1 }),
};

// limitKinds offers only what the chosen family can do: our pushes can be late or repeated, calls can fail.
function limitKinds() {
  const form = $('.inject');
  const ours = ['callback', 'notify', 'courier.push'].includes(form.family.value);
  for (const option of form.kind.options) {
    option.hidden = option.disabled = option.value === 'repeat' ? !ours : ours && option.value !== 'delay';
  }
  if (form.kind.selectedOptions[0].disabled) form.kind.value = ours ? 'repeat' : '500';
  $('.inject [name=code]').disabled = form.kind.value !== 'code';
}

async function advance(duration) {
  try {
    await send('/playground/clock', { advance: duration });
  } catch (e) {
    if (e.status !== 404 && e.status !== 405) { toast(e.message); return; }
    await send(control + 'advance', { advance: duration }); // opened without the product in front
  }
  toast('时钟已前进');
  await refresh();
}

let fetching = false;
async function refresh() {
  if (fetching) return;
  fetching = true;
  try {
    const resp = await fetch(control + 'state' + (state ? '?rev=' + state.rev : ''));
    if (resp.status === 200) {
      const first = !state;
      state = await resp.json();
      fetchedAt = Date.now();
      if (first) setUp();
      draw();
    }
  } catch {
    // the server is restarting; the next second tries again
  } finally {
    fetching = false;
  }
  tickClock();
}

function tickClock() {
  if (!state) return;
  $('#clock').textContent = fullClock(now());
  const shifted = state.clock.shifted;
  $('#shifted').hidden = !shifted;
  $('#shifted').textContent = '已前进 ' + shifted;
}

function show(tab) {
  document.body.dataset.tab = tab;
  $$('.panel').forEach((p) => p.classList.toggle('shown', p.id === tab));
  $$('.tabs button').forEach((b) => b.setAttribute('aria-current', String(b.dataset.show === tab)));
}

$$('.tabs button').forEach((b) => b.addEventListener('click', () => show(b.dataset.show)));
$$('[data-advance]').forEach((b) => b.addEventListener('click', () => advance(b.dataset.advance)));
$('.inject').addEventListener('submit', (e) => {
  e.preventDefault();
  const form = e.target;
  act('faults', { family: form.family.value, times: Number(form.times.value), ...faultOf[form.kind.value](form) }, '故障已注入');
});
$('.inject').addEventListener('change', limitKinds);
$('#clear-faults').addEventListener('click', async () => {
  await send(control + 'faults', null, 'DELETE').catch((e) => toast(e.message));
  await refresh();
});
document.addEventListener('click', (e) => {
  if (!e.target.closest('.menu')) $$('.menu .sub').forEach((el) => { el.hidden = true; });
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
show(location.hash.slice(1) || 'chat-0');
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 1000);
