// Package sim plays everybody outside the product, over their real wire protocols: the WeChat official account
// and its users' phones, WeChat OAuth, WeChat Pay (APIv3), Alipay (当面付), Tencent Cloud SMS and Tencent Cloud faceid. Development,
// tests and the demo run the product's production clients against it; only base URLs and keys differ.
//
// It imports no product code and has its own implementation of every signature and cipher, so that a mistake
// in the product's codec is not mirrored here. It refuses a bad signature, token or parameter as the real
// service does. It is never part of a production process.
//
// # Mounting
//
// [New] returns a [Server], an [net/http.Handler] that expects the prefix /playground/ to be present in every path:
//
//	/playground/                                the page on which one person plays everybody
//	/playground/control/…                       JSON for that page, for tests and for the demo (below)
//	/playground/api.weixin.qq.com/…             official-account API
//	/playground/open.weixin.qq.com/…            OAuth, in the browser
//	/playground/mp.weixin.qq.com/…              showqrcode, in the browser
//	/playground/api.mch.weixin.qq.com/v3/…      WeChat Pay APIv3 (signed over the path without the prefix: /v3/…)
//	/playground/openapi.alipay.com/gateway.do   Alipay, forms signed by RSA2
//	/playground/sms.tencentcloudapi.com/        SMS 2021-01-11, TC3-HMAC-SHA256 (canonical URI /, host as sent)
//	/playground/poll.kuaidi100.com/poll         快递100's subscriptions
//	/playground/apigw.goldentec.com/…           高灯云 electronic invoices (signed over the path without the prefix: /tax-api/…)
//	/playground/faceid.tencentcloudapi.com/     faceid 2018-03-01, same signature
//
// Callbacks go to [Config].ProductURL: /wechat/official in safe mode; payment notifications to the path of the
// trade's notify_url (normally /callbacks/wechatpay and /callbacks/alipay) on ProductURL's host, a courier's pushes to that of the callbackurl.
//
// # Provider endpoints
//
// Official account (HTTP 200 with errcode, as the real one):
//
//	POST /cgi-bin/stable_token             40013 appid, 40125 secret, 40002 grant_type; same token until 5 min before its end
//	GET  /cgi-bin/token                    a new token per call; the one before lives 5 min more
//	POST /cgi-bin/message/template/send    client_msg_id de-dup (10 min, same msgid); 40001 42001 43004 40037 47003 40003
//	GET  /cgi-bin/template/get_all_private_template
//	POST /cgi-bin/message/custom/send      45015 outside the window, 45047 quota used up, 43004 not a follower
//	POST /cgi-bin/message/custom/typing
//	POST /cgi-bin/qrcode/create            errmsg is absent on success
//	POST /cgi-bin/menu/create              miniprogram: 40166 appid, 45064 not linked, 40165 page, 40020 url
//	GET  /cgi-bin/menu/get, GET /cgi-bin/menu/delete
//	POST /cgi-bin/menu/addconditional, POST /cgi-bin/menu/delconditional (by tag_id)
//	POST /cgi-bin/tags/create, GET /cgi-bin/tags/get, POST /cgi-bin/tags/members/batch{,un}tagging, POST /cgi-bin/tags/getidlist
//	GET  /cgi-bin/user/info, GET /cgi-bin/user/get, GET /cgi-bin/getcallbackip
//	GET  /sns/jscode2session               the mini-program: 40029 40163 codes, 40125 secret
//	POST /wxa/business/getuserphonenumber  with the mini-program's own access token
//	POST /wxa/generate_urllink             40165 page, 85401 days; the link opens the mini-program's page, on the phone in whose SMS it was tapped
//	POST /wxa/sec/order/is_trade_managed, upload_shipping_info, get_order, notify_confirm_receive   发货信息管理 of the payments that
//	       were made in the mini-program, known three seconds after they were; 重新发货 once (10060003), nothing new 10060023,
//	       refunded 10060004, somebody else's 10060031. An older upload_time than the one that counts changes nothing
//	GET  /sns/oauth2/access_token, /sns/oauth2/refresh_token, /sns/userinfo, /sns/auth   40029 40163 42003 codes
//
// OAuth: GET /connect/oauth2/authorize and /connect/qrconnect show a chooser. A client without a browser adds
// &persona=OPENID (or a role or name) to the same URL and gets the redirect with code and state at once.
//
// WeChat Pay (errors as {"code","message"}; success responses and notifications signed with the platform key):
//
//	POST /v3/pay/transactions/native, /v3/pay/transactions/jsapi (payer: an OpenID of the mini-program)
//	GET  /v3/pay/transactions/out-trade-no/{no}?mchid=   and /v3/pay/transactions/id/{transaction_id}?mchid=
//	POST /v3/pay/transactions/out-trade-no/{no}/close
//	POST /v3/refund/domestic/refunds, GET /v3/refund/domestic/refunds/{out_refund_no}
//	POST /v3/refund/domestic/refunds/{refund_id}/apply-abnormal-refund
//
// Alipay (HTTP 200; the answer's exact JSON is signed): alipay.trade.precreate, .query, .close, .refund and .fastpay.refund.query.
// A trade begins when its code is scanned: until then query and close answer ACQ.TRADE_NOT_EXIST, and a close does not
// keep the code from being paid. TRADE_HAS_SUCCESS, TRADE_HAS_CLOSE, CONTEXT_INCONSISTENT, TRADE_STATUS_ERROR,
// DISCORDANT_REPEAT_REQUEST, REFUND_AMT_NOT_EQUAL_TOTAL; isv.invalid-signature and its like. Refunds are done at once and
// idempotent by out_request_no. Notifications (paid, closed, refunded) are forms, repeated until the answer is "success".
//
// Invoices (HTTP 200 with code; HMAC-SHA256 over parameters, path and body): POST /tax-api/invoice/blue/v1, /red/v1 and
// /query/v1, idempotent by order_id; GET /files/{name}.pdf, a PDF that says it is a test. Issued at once, and told by
// 开票结果异步通知 to the callback_url, with the platform's schedule until the answer is {"code":0}.
//
// SMS: SendSms, PullSmsSendStatusByPhoneNumber. faceid: PhoneVerification (true when name, identity number and
// mobile all belong to one [Persona]); DetectAuth, whose address is a page where one chooses who looks into the
// camera (or POSTs code=0 for the right one), and GetDetectInfoEnhanced.
//
// 快递100: POST /poll (schema=json, param) takes a subscription: 200, or 501 again, 600 key, 700 courier, 701 data, SF without a
// telephone. Pushes are forms of param and sign = MD5(param + salt); one that is not answered {"result":true} is repeated three times.
//
// # Control
//
// Everything is JSON; POST and DELETE need Content-Type application/json. "persona" is an OpenID, a name, or a role
// (its first persona). Errors are {"error":"…"} with a 4xx status. Lists are newest first unless said otherwise.
//
//	GET    control/state[?rev=N]    all of the below in one answer; 204 while nothing changed since rev N
//	GET    control/personas         [PersonaView]; totp is the code valid now
//	POST   control/follow           {"persona","scene"?}            -> Exchange (subscribe event; scene = QR string)
//	POST   control/unfollow         {"persona"}                     -> Exchange
//	POST   control/subscribe        {"persona","where","accept","reject"} -> Subscribed; where = account | mini | settings: what somebody
//	       answers when an account asks to send notices (lists of template ids; both empty accept all of them), or refuses
//	       in the settings. The official account hears of it by an event, the mini-program by the answer
//	GET    control/consents?persona=  [Consent], what is left of them
//	POST   control/chat             {"persona","text","msg_id"?}    -> Exchange; a given msg_id repeats that message's id
//	POST   control/click            {"persona","key"}               -> Exchange (menu CLICK event)
//	POST   control/scan             {"persona","ticket"|"url"}      -> Exchange (SCAN, or subscribe with qrscene_)
//	POST   control/push             {"persona","mode"}              -> Exchange for hostile pushes: mode = forged | stale | plain | replay
//	POST   control/verify           {} -> Attempt; the GET with echostr that WeChat sends when the server settings are saved
//	GET    control/chat?persona=    [ChatMessage], oldest first (template cards included)
//	GET    control/templates[?persona=]  [TemplateMessage]
//	GET    control/sms[?mobile=]    [SMSMessage]
//	GET    control/trades           [Trade]
//	GET    control/refunds          [Refund]
//	POST   control/refund           {"out_refund_no","to"} -> Refund; what a person does about an abnormal one in the merchant's console:
//	       to = USER_BANK_CARD (another card of the payer's) | MERCHANT_BANK_CARD (back to the merchant)
//	GET    control/notices[?out_trade_no=]  [Notice]: payment and refund notifications with every attempt
//	POST   control/pay              {"code_url"|"out_trade_no","how","times"?,"persona"?} -> PayResult
//	       how = pay          scan and pay, notify
//	             twice        pay this trade and another one of the same order (same attach, else same description) before either
//	                          notification goes out; an open one, else one whose close came too late; 409 when there is none
//	             repeat       send the notification of a paid trade again, times times (default 1)
//	             fail         the bank refuses; the trade becomes PAYERROR and can be tried again. Of Alipay, which reports no
//	                          refusal, the payer gives up and the trade is closed
//	             scan         Alipay: the code is scanned and not paid
//	             lose         paid, but no notification is ever sent; a query shows SUCCESS
//	             wrong-amount a properly signed notification one fen short; the trade itself stays unpaid
//	             forged       a notification signed by a foreign key; the trade itself stays unpaid
//	POST   control/mini/login       {"persona"} -> {"code"}, what wx.login hands out
//	POST   control/mini/phone       {"persona"} -> {"code"}, what the phone-number button hands out
//	POST   control/mini/pay         {"persona","how", timeStamp, nonceStr, package, signType, paySign}: wx.requestPayment; how = pay | fail | cancel
//	GET    control/shippings        [ShippingView], what the mini-program's 发货信息管理 was told
//	POST   control/mini/confirm     {"out_trade_no"}: the buyer confirms the receipt
//	POST   control/mini/managed     {"managed"}: whether the mini-program has 发货信息管理; without it the endpoints answer 48001
//	GET    control/parcels          [Parcel]
//	POST   control/parcel           {"number","how"} -> Parcel; how = pick_up | transit | trouble | deliver | sign | return | back move it and
//	       push that; repeat pushes the last track again, late the one before it, forge 签收 with a wrong sign
//	GET    control/invoices         [Invoice]
//	GET    control/invoice-notices[?order_id=]  [InvoiceNotice]
//	POST   control/invoice          {"plan"} for the next invoice or red invoice: "" issued, hold, fail, lose (issued, never told); or
//	       {"order_id","how","times"?} -> InvoiceResult; how = issue | fail | lose for one that is held, repeat, and the hostile
//	       wrong-amount and forged (a notification to an address with a wrong seal)
//	GET    control/faults           [Fault]
//	POST   control/faults           [Fault]; replaces the fault of that family: token template subscribe custom account oauth mini mini.shipping pay.native pay.jsapi pay.query
//	       pay.close pay.refund alipay.precreate alipay.query alipay.close alipay.refund invoice.issue invoice.red invoice.query invoice.file
//	       sms.send sms.status faceid courier.poll (delay_ms, status, code, after), pay.refund.end (code = ABNORMAL | CLOSED), callback notify courier.push invoice.notify (delay_ms, repeat)
//	DELETE control/faults[?family=] clears one family, or all
//	GET    control/timeline[?limit=]  [Event], "a clock of what happened"
//	GET    control/clock            {"now"}
//	POST   control/advance          {"advance":"168h"} moves the simulator's clock (the product forwards POST /playground/clock here)
//	POST   control/settle           returns when no callback is under way or due
//
// Exchange, PayResult and the other shapes are the exported types of this package; their JSON is their field tags.
//
// # Time
//
// [Config].Now plus every [Server.Advance] is the simulator's clock: tokens, codes, windows, QR expiry, success_time,
// TC3 and the official account's callback timestamps use it. APIv3 signature timestamps are wire time (time.Now),
// since WeChat's SDK compares them with its own clock. Retries of notifications follow the platform's schedule multiplied by
// [Config].RetryScale on the simulator's clock, so that advancing the clock makes them due.
package sim
