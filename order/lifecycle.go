package order

import (
	"slices"
	"time"
)

// lifecycle is the whole business: one row says who may do what to an order in
// which state, what must be true, where the order goes and what follows in the
// same transaction. No other code decides what may follow what; anything not in
// a row is refused. docs/lifecycle.md is generated from it.
//
// Row numbers are those of the design's table; a number stands on several rows
// when the design's cell holds several answers, told apart by When.
var lifecycle = []transition{
	// Filling in and paying.
	{Row: 1, From: states(None, draft), On: Save, To: draft, By: roles(Applicant), Do: edit},
	{Row: 2, From: states(draft), On: Delete, To: None, By: roles(Applicant, System), Then: do(job(JobPurge))},
	{Row: 3, Of: butReissue, From: states(draft), On: Confirm, When: facts(Charged), To: awaitingPayment, By: roles(Applicant), If: readyToConfirm, Do: place, Then: unpaidTimers},
	{Row: 3, Of: of(Reissue), From: states(draft), On: Confirm, When: facts(Charged), To: awaitingPayment, By: roles(Applicant), If: readyToConfirm, Do: place, Then: append(slices.Clip(unpaidTimers), onCertificate(HoldCertificate))},
	{Row: 4, Of: butReissue, From: states(draft), On: Confirm, When: facts(Free, Unsigned), To: awaitingAuthorization, By: roles(Applicant), If: readyToConfirm, Do: place, Then: toLegalRep},
	{Row: 4, Of: of(Reissue), From: states(draft), On: Confirm, When: facts(Free, Unsigned), To: awaitingAuthorization, By: roles(Applicant), If: readyToConfirm, Do: place, Then: append(slices.Clip(toLegalRep), onCertificate(HoldCertificate))},
	{Row: 4, Of: butReissue, From: states(draft), On: Confirm, When: facts(Free, Signed), To: queued, By: roles(Applicant), If: readyToConfirm, Do: placeAndQueue, Then: toReviewSettled},
	{Row: 4, Of: of(Reissue), From: states(draft), On: Confirm, When: facts(Free, Signed), To: queued, By: roles(Applicant), If: readyToConfirm, Do: placeAndQueue, Then: append(slices.Clip(toReviewSettled), onCertificate(HoldCertificate))},
	{Row: 5, From: states(awaitingPayment), On: Paid, When: facts(Unsigned), To: awaitingAuthorization, By: roles(Gateway), If: facts(CurrentTrade), Do: markPaid, Then: toLegalRep},
	{Row: 5, From: states(awaitingPayment), On: Paid, When: facts(Signed), To: queued, By: roles(Gateway), If: facts(CurrentTrade), Do: payAndQueue, Then: toReviewSettled},
	{Row: 6, From: states(awaitingPayment), On: PayFailed, To: awaitingPayment, By: roles(Gateway)},
	{Row: 7, From: states(awaitingPayment), On: Edit, To: draft, By: roles(Applicant), If: facts(TradeClosed), Do: dropTrade},
	{Row: 8, From: states(awaitingPayment), On: Unpaid, To: draft, By: roles(System), If: facts(TradeClosed), Do: dropTrade, Then: do(notify(NoticeUnpaidReturned))},
	{Row: 9, From: states(awaitingPayment), On: Delete, To: None, By: roles(Applicant), If: facts(TradeClosed), Then: do(job(JobPurge))},

	// The legal representative.
	{Row: 11, From: states(awaitingAuthorization), On: AuthSigned, To: queued, By: roles(LegalRep), If: facts(SameSnapshot), Do: startClock, Then: append(do(notify(NoticeAuthorized)), toReview...)},
	{Row: 12, From: states(awaitingAuthorization), On: AuthResend, To: awaitingAuthorization, By: roles(Applicant), If: facts(ResendAllowed), Then: do(authorize(askAgain))},
	{Row: 12, From: states(awaitingAuthorization), On: AuthMobile, To: awaitingAuthorization, By: roles(Applicant), If: facts(ResendAllowed, LegalMobileHis), Do: changeLegalMobile, Then: append(do(authorize(askAgain)), whileAsked...)},
	{Row: 13, From: states(awaitingAuthorization), On: AuthToPaper, To: queued, By: roles(Applicant), If: facts(LetterUploaded, Complete), Do: switchToPaper, Then: append(do(void(WhyPaper)), toReview...)},
	{Row: 14, From: states(awaitingAuthorization), On: AuthReturned, To: fixable, By: roles(LegalRep), Do: reject, Then: rejection},
	{Row: 15, From: states(awaitingAuthorization), On: AuthDeclined, To: fixable, By: roles(LegalRep), Do: declined, Then: rejection},
	{Row: 16, From: states(awaitingAuthorization), On: AuthExpired, To: fixable, By: roles(System), Do: rejectWith("R16"), Then: append(do(void(WhyTimeout)), rejection...)},
	{Row: 17, From: states(queued, claimed, secondApproval), On: AuthWithdrawn, To: fixable, By: roles(LegalRep), Do: rejectWith("R16"), Then: rejection},
	{Row: 17, From: states(fixable), On: AuthWithdrawn, To: Same, By: roles(LegalRep)},
	{Row: 18, From: states(unclaimed, making, makingFailed, renewReady, renewInterrupted, downloadReady, downloadInterrupted, toUnlock, toRestore), On: AuthWithdrawn, When: facts(Untouched), To: fixable, By: roles(LegalRep), If: facts(NotUnlocking), Do: rejectWith("R16"), Then: rejection},
	{Row: 19, From: states(unclaimed, making, makingFailed, renewReady, renewInterrupted, downloadReady, downloadInterrupted, toUnlock, toRestore), On: AuthWithdrawn, When: facts(Touched), By: roles(LegalRep), Refuse: tooLateToWithdraw},
	{Row: 19, From: states(renewRunning, downloadRunning, toPost, toPickUp, completed), On: AuthWithdrawn, By: roles(LegalRep), Refuse: tooLateToWithdraw},

	// Review.
	{Row: 20, From: states(queued), On: Claim, To: claimed, By: roles(Reviewer), If: facts(NotOwnOrder, NotOwnCompany), Do: claim, Then: do(after(ClaimLife, Release), escalate)},
	{Row: 21, From: states(claimed), On: Release, To: queued, By: roles(Reviewer, System), If: facts(HoldsClaimOrSystem), Do: release, Then: do(escalate)},
	{Row: 70, From: states(queued, claimed), On: Assign, To: claimed, By: roles(Reviewer), If: facts(MayAssign, AssigneeMayReview), Do: assign, Then: do(notify(NoticeAssigned), after(AssignLife, Release), escalate)},
	{Row: 71, From: states(queued, claimed, secondApproval), On: ExplainDelay, To: Same, By: roles(Reviewer), If: facts(LeadsReview, ReviewLate), Do: explainDelay},
	{Row: 73, From: states(queued, claimed, secondApproval, unclaimed, making, makingFailed, toPost), On: ExpressOver, To: Same, By: roles(System), If: facts(ExpressLate)},
	{Row: 22, From: states(claimed), On: Approve, When: facts(SecondNeeded), To: secondApproval, By: roles(Reviewer), If: readyToApprove, Do: approveFirst, Then: do(notify(NoticeSecondReview), escalate)},
	{Row: 24, Of: of(Initial), From: states(claimed), On: Approve, When: facts(AdminMode, OneReviewer), To: unclaimed, By: roles(Reviewer), If: readyToApprove, Do: approve, Then: toStation},
	{Row: 24, Of: of(Initial), From: states(secondApproval), On: Approve, When: facts(AdminMode), To: unclaimed, By: roles(Reviewer), If: readyToApproveSecond, Do: approve, Then: toStation},
	{Row: 25, Of: of(Initial), From: states(claimed), On: Approve, When: facts(SelfMode, OneReviewer), To: downloadReady, By: roles(Reviewer), If: readyToApprove, Do: approve, Then: toDownload},
	{Row: 25, Of: of(Initial), From: states(secondApproval), On: Approve, When: facts(SelfMode), To: downloadReady, By: roles(Reviewer), If: readyToApproveSecond, Do: approve, Then: toDownload},
	{Row: 26, Of: of(Renewal), From: states(claimed), On: Approve, When: facts(SelfMode, OneReviewer), To: renewReady, By: roles(Reviewer), If: readyToApprove, Do: approve, Then: do(notify(NoticeApprovedRenew), grantOver)},
	{Row: 26, Of: of(Renewal), From: states(secondApproval), On: Approve, When: facts(SelfMode), To: renewReady, By: roles(Reviewer), If: readyToApproveSecond, Do: approve, Then: do(notify(NoticeApprovedRenew), grantOver)},
	{Row: 27, Of: of(Renewal), From: states(claimed), On: Approve, When: facts(AdminMode, OneReviewer), To: unclaimed, By: roles(Reviewer), If: append(slices.Clip(readyToApprove), SingleKey), Do: approve, Then: toStation},
	{Row: 27, Of: of(Renewal), From: states(secondApproval), On: Approve, When: facts(AdminMode), To: unclaimed, By: roles(Reviewer), If: append(slices.Clip(readyToApproveSecond), SingleKey), Do: approve, Then: toStation},
	{Row: 28, Of: of(UnlockApproval), From: states(claimed), On: Approve, When: facts(OneReviewer), To: toUnlock, By: roles(Reviewer), If: readyToApprove, Do: approve, Then: do(notify(NoticeApprovedUnlock), grantOver)},
	{Row: 28, Of: of(UnlockApproval), From: states(secondApproval), On: Approve, To: toUnlock, By: roles(Reviewer), If: readyToApproveSecond, Do: approve, Then: do(notify(NoticeApprovedUnlock), grantOver)},
	{Row: 29, Of: of(Resume), From: states(claimed), On: Approve, When: facts(OneReviewer), To: toRestore, By: roles(Reviewer), If: readyToApprove, Do: approve, Then: do(notify(NoticeApprovedRestore), grantOver)},
	{Row: 29, Of: of(Resume), From: states(secondApproval), On: Approve, To: toRestore, By: roles(Reviewer), If: readyToApproveSecond, Do: approve, Then: do(notify(NoticeApprovedRestore), grantOver)},
	{Row: 29, Of: of(Recover), From: states(claimed), On: Approve, When: facts(OneReviewer), To: toRestore, By: roles(Reviewer), If: readyToApprove, Do: approve, Later: true},
	{Row: 29, Of: of(Recover), From: states(secondApproval), On: Approve, To: toRestore, By: roles(Reviewer), If: readyToApproveSecond, Do: approve, Later: true},
	{Row: 30, Of: of(Reissue), From: states(claimed), On: Approve, When: facts(AdminMode, OneReviewer), To: unclaimed, By: roles(Reviewer), If: readyToApprove, Do: approve, Then: toReplace},
	{Row: 30, Of: of(Reissue), From: states(secondApproval), On: Approve, When: facts(AdminMode), To: unclaimed, By: roles(Reviewer), If: readyToApproveSecond, Do: approve, Then: toReplace},
	{Row: 30, Of: of(Reissue), From: states(claimed), On: Approve, When: facts(SelfMode, OneReviewer), To: downloadReady, By: roles(Reviewer), If: readyToApprove, Do: approve, Then: toFetch},
	{Row: 30, Of: of(Reissue), From: states(secondApproval), On: Approve, When: facts(SelfMode), To: downloadReady, By: roles(Reviewer), If: readyToApproveSecond, Do: approve, Then: toFetch},
	{Row: 31, Of: of(Rebind), From: states(secondApproval), On: Approve, To: completed, By: roles(Reviewer), If: readyToApproveSecond, Do: approveAndComplete, Then: do(onCertificate(RebindCertificate), invoicing, fulfilling)},
	{Row: 32, From: states(claimed, secondApproval), On: Reject, To: fixable, By: roles(Reviewer), If: append(slices.Clip(mayDecide), HasReasons, NamesNoNumber), Do: reject, Then: rejection},
	{Row: 33, From: states(fixable), On: Resubmit, When: facts(Unsigned), To: awaitingAuthorization, By: roles(Applicant), If: readyToResubmit, Do: resubmit, Then: toLegalRep},
	{Row: 33, From: states(fixable), On: Resubmit, When: facts(Signed), To: queued, By: roles(Applicant), If: readyToResubmit, Do: resubmitAndQueue, Then: toReviewSettled},
	{Row: 34, Of: butReissue, From: states(fixable), On: Close, When: facts(Free), To: closed, By: roles(Applicant, System)},
	// Also the free replacement of a key that was lost on its way: what that had renewed is what is left.
	{Row: 34, Of: of(Reissue), From: states(fixable), On: Close, When: facts(Free), To: closed, By: roles(Applicant, System), Then: do(onCertificate(ReinstateRenewed))},
	{Row: 35, From: states(fixable), On: FixExpired, When: facts(Charged), To: fixable, By: roles(System), Refund: Refunding, Then: do(job(JobRefund), notify(NoticeRefundStarted))},

	// Making the keys.
	{Row: 36, Of: made, From: states(unclaimed, making), On: MakeKey, To: making, By: roles(Issuer, System), If: facts(ItemWaits, IssuerMayMake, SameSnapshot), Then: do(perItem(JobIssue))},
	{Row: 37, Of: made, From: states(making, makingFailed), On: KeyVerified, When: facts(MoreKeys, NoneFailed), To: making, By: roles(System), If: facts(ReadBack), Do: countKey},
	{Row: 37, Of: made, From: states(making, makingFailed), On: KeyVerified, When: facts(MoreKeys, SomeFailed), To: makingFailed, By: roles(System), If: facts(ReadBack), Do: countKey},
	{Row: 38, Of: made, From: states(making, makingFailed), On: KeyFailed, To: makingFailed, By: roles(Issuer, System), Then: do(notify(NoticeKeyFailed))},
	{Row: 39, Of: made, From: states(makingFailed), On: RetryKey, To: making, By: roles(Issuer), If: facts(IssuerMayMake), Then: do(perItem(JobIssue))},
	// Fewer keys than were paid for: proposed by finance, agreed to by the applicant.
	{Row: 40, Of: of(Initial), From: states(unclaimed, making, makingFailed), On: GiveUpProposed, When: facts(Charged), To: Same, By: roles(Finance), If: facts(KeysToGive, HasNote, NamesNoNumber), Then: do(notify(NoticeGiveUpProposed))},
	{Row: 40, Of: of(Initial), From: states(unclaimed), On: GiveUpKeys, When: facts(Charged), To: unclaimed, By: roles(Finance, Applicant), If: facts(ApplicantAgreed, KeysToGive), Do: giveUp, Then: givenUp},
	{Row: 40, Of: of(Initial), From: states(making, makingFailed), On: GiveUpKeys, When: facts(Charged, KeysLeft, NoFailedLeft), To: making, By: roles(Finance, Applicant), If: facts(ApplicantAgreed, KeysToGive), Do: giveUp, Then: givenUp},
	{Row: 40, Of: of(Initial), From: states(making, makingFailed), On: GiveUpKeys, When: facts(Charged, FailedLeft), To: makingFailed, By: roles(Finance, Applicant), If: facts(ApplicantAgreed, KeysToGive), Do: giveUp, Then: givenUp},
	{Row: 40, Of: of(Initial), From: states(making, makingFailed), On: GiveUpKeys, When: facts(Charged, NoKeysLeft, ByCourier), To: toPost, By: roles(Finance, Applicant), If: facts(ApplicantAgreed, KeysToGive), Do: giveUp, Then: append(slices.Clip(givenUp), notify(NoticeShipTask))},
	{Row: 40, Of: of(Initial), From: states(making, makingFailed), On: GiveUpKeys, When: facts(Charged, NoKeysLeft, ByPickUp), To: toPickUp, By: roles(Finance, Applicant), If: facts(ApplicantAgreed, KeysToGive), Do: giveUpAndPickUpCode, Then: append(slices.Clip(givenUp), notify(NoticePickUpReady))},
	{Row: 41, Of: of(Initial), From: states(making, makingFailed), On: KeyVerified, When: facts(LastKey, ByCourier), To: toPost, By: roles(System), If: facts(ReadBack), Do: countKey, Then: do(notify(NoticeShipTask))},
	{Row: 41, Of: of(Reissue, Renewal), From: states(making, makingFailed), On: KeyVerified, When: facts(LastKey, ByCourier), To: toPost, By: roles(System), If: facts(ReadBack), Do: countKey, Then: do(notify(NoticeShipTask), onCertificate(SupersedeCertificate))},
	{Row: 41, Of: of(Initial), From: states(making, makingFailed), On: KeyVerified, When: facts(LastKey, ByPickUp), To: toPickUp, By: roles(System), If: facts(ReadBack), Do: countKeyAndPickUpCode, Then: do(notify(NoticePickUpReady))},
	{Row: 41, Of: of(Reissue, Renewal), From: states(making, makingFailed), On: KeyVerified, When: facts(LastKey, ByPickUp), To: toPickUp, By: roles(System), If: facts(ReadBack), Do: countKeyAndPickUpCode, Then: do(notify(NoticePickUpReady), onCertificate(SupersedeCertificate))},

	// Restoring a frozen certificate. Rows 42 and 43 wait for key escrow.
	{Row: 42, Of: of(Recover), From: states(toRestore), On: Recovered, To: toPost, By: roles(Issuer), If: facts(ArchiveIntact, SecondPerson), Later: true},
	{Row: 43, Of: of(Recover), From: states(toRestore), On: ArchiveUnusable, To: fixable, By: roles(Issuer), Do: rejectWith("R20"), Then: rejection, Later: true},
	{Row: 44, Of: of(Resume), From: states(toRestore), On: Restore, To: completed, By: roles(Applicant), If: facts(MobileProven, StillFrozen, GrantAlive), Do: completeOrder, Then: do(onCertificate(RestoreCertificate), invoicing, fulfilling)},

	// Handing over.
	{Row: 45, Of: shipped, From: states(toPost), On: Ship, To: completed, By: roles(Shipper), If: facts(HasTracking, LabelCurrent), Do: ship, Then: onTheWay},
	{Row: 46, Of: butRenewal, From: states(toPickUp), On: PickUp, To: completed, By: roles(Shipper), If: facts(PickUpCodeRight), Do: completeOrder, Then: do(notify(NoticePickedUp), invoicing, fulfilling)},
	{Row: 46, Of: of(Renewal), From: states(toPickUp), On: PickUp, To: completed, By: roles(Shipper), If: facts(PickUpCodeRight), Do: completeOrder, Then: do(notify(NoticePickedUp), invoicing, fulfilling, retireOld)},
	// A renewal onto a new USBKEY leaves the old one thirty days (F9).
	{Row: 46, Of: of(Renewal), From: states(completed), On: OldRetired, When: facts(AdminMode, NewKeyThere), To: completed, By: roles(System), Then: do(onCertificate(RevokeCertificate))},
	{Row: 47, Of: shipped, From: states(awaitingAuthorization, queued, claimed, secondApproval, unclaimed, making, makingFailed, toRestore), On: ChangeDelivery, When: facts(AdminMode), To: Same, By: roles(Applicant), If: facts(DeliveryComplete), Do: changeDelivery},
	// Until it is posted; a label that was printed before is refused then (row 45).
	{Row: 47, Of: shipped, From: states(toPost, toPickUp), On: ChangeDelivery, When: facts(ByCourier), To: toPost, By: roles(Applicant), If: facts(DeliveryComplete), Do: changeDelivery, Then: do(notify(NoticeShipTask))},
	{Row: 47, Of: shipped, From: states(toPost, toPickUp), On: ChangeDelivery, When: facts(ByPickUp), To: toPickUp, By: roles(Applicant), If: facts(DeliveryComplete), Do: changeDeliveryToPickUp, Then: do(notify(NoticePickUpReady))},
	{Row: 48, Of: shipped, From: states(completed), On: CourierMoved, When: facts(BringsNoNewKey), To: completed, By: roles(Courier), If: facts(ParcelOut), Do: moveParcel, DuringRefund: true, Then: do(fulfilling)},
	{Row: 48, Of: of(Renewal), From: states(completed), On: CourierMoved, When: facts(BringsNewKey), To: completed, By: roles(Courier), If: facts(ParcelOut), Do: moveParcel, DuringRefund: true, Then: do(fulfilling, retireOld)},
	// A slip of the shipper's: what the courier says of another parcel does not decide.
	// It moves no money: like the courier's reports, which it sets right, it works also
	// while money is on its way back.
	{Row: 72, Of: shipped, From: states(completed), On: CorrectTracking, When: facts(NotSignedFor), To: completed, By: roles(Shipper, Admin), If: facts(ParcelOut, WrongNumberStands, NotLost, HasTracking, NumberDiffers), Do: correctTracking, DuringRefund: true, Then: do(notify(NoticeTrackingCorrected), job(JobParcel), fulfilling)},
	{Row: 72, Of: shipped, From: states(completed), On: CorrectTracking, When: facts(SignedFor), To: completed, By: roles(Shipper, Admin), If: facts(ParcelOut, WrongNumberStands, AdminCorrects, SentLately, WhyCorrected, HasTracking, NumberDiffers), Do: correctTracking, DuringRefund: true, Then: do(notify(NoticeTrackingCorrected), job(JobParcel), fulfilling)},
	{Row: 49, Of: shipped, From: states(completed), On: ParcelReturned, To: toPost, By: roles(Shipper), If: facts(ParcelOut, KeysIntact), Do: unship, Then: do(notify(NoticeParcelReturned))},
	{Row: 50, Of: shipped, From: states(completed), On: ParcelMissed, To: completed, By: roles(Shipper), If: facts(ParcelOut, LostNamed, ClaimRecorded), Do: loseParcel, Then: do(onLostKeys(LostCertificate), replacements, notify(NoticeParcelLost))},
	// What was lost is made again for nothing.
	{Row: 50, Of: of(Reissue), From: states(None), On: ReplaceLost, To: queued, By: roles(System), If: facts(CertificateFit), Do: placeAndQueue, Then: toReview},

	// Running on the subscriber's own key.
	{Row: 51, Of: of(Renewal), From: states(renewReady, renewInterrupted), On: Run, To: renewRunning, By: roles(Applicant, Helper), If: facts(KeyMatches, CertificateFit, GrantAlive), Then: interruptIfSilent},
	{Row: 51, Of: fetched, From: states(downloadReady, downloadInterrupted), On: Run, To: downloadRunning, By: roles(Applicant, Helper), If: facts(GrantAlive), Then: interruptIfSilent},
	{Row: 52, Of: of(Renewal), From: states(renewRunning), On: Interrupt, To: renewInterrupted, By: roles(Helper, System), Then: do(grantOver)},
	{Row: 52, Of: fetched, From: states(downloadRunning), On: Interrupt, To: downloadInterrupted, By: roles(Helper, System), Then: untilFetched},
	{Row: 53, Of: of(Renewal), From: states(renewRunning), On: ReadBackOK, To: completed, By: roles(Helper), If: facts(ReadBack), Do: completeRun, Then: do(notify(NoticeWritten), invoicing, fulfilling, onCertificate(SupersedeCertificate))},
	{Row: 53, Of: of(Initial), From: states(downloadRunning), On: ReadBackOK, To: completed, By: roles(Helper), If: facts(ReadBack), Do: completeRun, Then: do(notify(NoticeWritten), invoicing, fulfilling)},
	{Row: 53, Of: of(Reissue), From: states(downloadRunning), On: ReadBackOK, To: completed, By: roles(Helper), If: facts(ReadBack), Do: completeRun, Then: do(notify(NoticeWritten), invoicing, fulfilling, onCertificate(SupersedeCertificate))},
	{Row: 54, Of: of(Renewal), From: states(renewReady, renewInterrupted), On: GrantOver, When: facts(Free), To: closed, By: roles(System), Do: rejectNote(renewalOver), Then: do(abandonRun, notify(NoticeCalledOff))},
	{Row: 54, Of: of(Renewal), From: states(renewReady, renewInterrupted), On: GrantOver, When: facts(Charged), To: closed, By: roles(System), Do: rejectNote(renewalOver), Refund: Refunding, Then: do(abandonRun, job(JobRefund), notify(NoticeRefundStarted))},
	{Row: 55, Of: fetched, From: states(downloadReady, downloadInterrupted), On: GrantOver, To: fixable, By: roles(System), Do: rejectNote(downloadLapsed), Then: append(do(abandonRun), rejection...)},
	{Row: 56, Of: of(UnlockApproval), From: states(toUnlock), On: PINSet, To: completed, By: roles(Helper), If: facts(GrantAlive, KeyMatches, CertificateUsable, ReadBack), Do: completeOrder, Then: do(notify(NoticeUnlocked), invoicing, fulfilling)},
	// A PC without a network reports nothing: the order stands for the response that was
	// given, which is given again when it did not fit.
	{Row: 56, Of: of(UnlockApproval), From: states(toUnlock), On: CodeGiven, To: completed, By: roles(Applicant), If: facts(GrantAlive, KeyMatches, CertificateUsable), Do: completeOrder, Then: do(notify(NoticeUnlocked), invoicing, fulfilling)},
	{Row: 57, Of: of(UnlockApproval), From: states(completed), On: CodeGiven, To: completed, By: roles(Applicant), If: facts(GrantAlive, KeyMatches, CertificateUsable, CodesLeft), Then: do(notify(NoticeUnlocked))},
	{Row: 57, Of: of(UnlockApproval), From: states(toUnlock), On: UnlockFailed, To: toUnlock, By: roles(Helper)},
	{Row: 58, Of: of(UnlockApproval), From: states(toUnlock), On: GrantOver, To: fixable, By: roles(System), Do: rejectNote(grantLapsed), Then: rejection},
	{Row: 58, Of: of(Resume), From: states(toRestore), On: GrantOver, To: fixable, By: roles(System), Do: rejectNote(grantLapsed), Then: rejection},
	{Row: 59, Of: of(UnlockSelf), From: states(None), On: PINSet, To: completed, By: roles(Helper), If: facts(MobileProven, UnlocksLeft, CertificateUsable, ReadBack), Do: completeFree, Then: do(notify(NoticeUnlocked))},
	// A PC without a network reports nothing: the order stands for the response that was given.
	{Row: 59, Of: of(UnlockSelf), From: states(None), On: CodeGiven, To: completed, By: roles(Applicant), If: facts(MobileProven, UnlocksLeft, CertificateUsable), Do: completeFree, Then: do(notify(NoticeUnlocked))},

	// The certificate an order is about is revoked or frozen meanwhile.
	// A draft's mobile is not proven: nobody is told, its form says so.
	{Row: 61, Of: aboutCertificate, From: states(draft), On: CertificateRevoked, To: draft, By: roles(System)},
	{Row: 61, Of: aboutCertificate, From: states(awaitingPayment), On: CertificateRevoked, To: draft, By: roles(System), If: facts(TradeClosed), Do: dropTrade, Then: do(notify(NoticeCalledOff))},
	{Row: 62, Of: aboutCertificate, From: openAboutCertificate, On: CertificateRevoked, When: facts(Free), To: closed, By: roles(System), Do: rejectNote(certificateGone), Then: do(abandonRun, notify(NoticeCalledOff))},
	{Row: 62, Of: aboutCertificate, From: openAboutCertificate, On: CertificateRevoked, When: facts(Charged), To: closed, By: roles(System), Do: rejectNote(certificateGone), Refund: Refunding, Then: do(abandonRun, job(JobRefund), notify(NoticeRefundStarted))},
	{Row: 63, Of: of(Renewal, UnlockApproval), From: openAboutCertificate, On: CertificateFrozen, To: Same, By: roles(System)},

	// Money back. Row 10, a late or second payment, moves no order: it is a move
	// of the payment alone, see Service.PaymentSucceeded.
	{Row: 64, From: refundableBefore, On: RefundStart, When: facts(Charged, Untouched), To: Same, By: roles(Finance), If: facts(HasNote, NamesNoNumber, NotUnlocking), Do: dropReview, Refund: Refunding, Then: do(job(JobRefund), notify(NoticeRefundStarted), void(WhyRefund))},
	{Row: 64, From: states(renewInterrupted, downloadInterrupted), On: RefundStart, When: facts(Charged, Touched), To: Same, By: roles(Finance), If: facts(HasNote, NamesNoNumber), Do: dropReview, Refund: Refunding, Then: do(abandonRun, job(JobRefund), notify(NoticeRefundStarted), void(WhyRefund))},
	// Once a serial is reserved one person of finance proposes and another confirms;
	// the certificates end in the transaction that lets the money go, which waits for
	// the red invoice, as in row 64.
	{Row: 65, From: states(unclaimed, making, makingFailed), On: RefundProposed, When: facts(Charged, Touched), To: Same, By: roles(Finance), If: facts(HasNote, NamesNoNumber, NoneMaking), Then: do(notify(NoticeRefundProposed))},
	{Row: 65, From: states(toPost, toPickUp, completed), On: RefundProposed, When: facts(Charged), To: Same, By: roles(Finance), If: facts(HasNote, NamesNoNumber, KeysSettled, NotReplaced), Then: do(notify(NoticeRefundProposed))},
	{Row: 65, From: states(unclaimed, making, makingFailed), On: RefundStart, When: facts(Charged, Touched), To: Same, By: roles(Finance), If: facts(RefundConfirmed, HasNote, NoneMaking), Refund: Refunding, Then: lateRefund},
	{Row: 65, Of: butReplacing, From: states(toPost, toPickUp, completed), On: RefundStart, When: facts(Charged), To: Same, By: roles(Finance), If: facts(RefundConfirmed, HasNote, KeysSettled, NotReplaced), Refund: Refunding, Then: lateRefund},
	// What was renewed and has not ended is what its holder has left.
	{Row: 65, Of: of(Renewal, Reissue), From: states(toPost, toPickUp, completed), On: RefundStart, When: facts(Charged), To: Same, By: roles(Finance), If: facts(RefundConfirmed, HasNote, KeysSettled, NotReplaced), Refund: Refunding, Then: append(slices.Clip(lateRefund), onCertificate(ReinstateCertificate))},
	{Row: 65, From: states(unclaimed, making, makingFailed, toPost, toPickUp, completed), On: ProposalDropped, To: Same, By: roles(Finance), If: facts(Proposed)},
	{Row: 66, From: refundable, On: RefundSucceeded, To: refunded, By: roles(Gateway), If: facts(InRefund), DuringRefund: true, Then: do(notify(NoticeRefunded))},
	{Row: 67, From: refundable, On: RefundFails, To: Same, By: roles(Gateway, System), If: facts(InRefund), Refund: RefundFailed, DuringRefund: true, Then: do(notify(NoticeRefundFailed))},
	{Row: 67, From: refundable, On: RefundRetry, To: Same, By: roles(Finance, System), If: facts(RefundHasFailed), Refund: Refunding, DuringRefund: true, Then: do(job(JobRefund))},
	{Row: 67, From: refundable, On: RefundByHand, To: refunded, By: roles(Finance), If: facts(RefundHasFailed, HasNote), DuringRefund: true, Then: do(notify(NoticeRefunded))},
	{Row: 68, From: append(slices.Clip(refundable), draft, awaitingPayment), On: RefundStart, When: facts(Free), By: roles(Finance), Refuse: nothingToRefund},
}

// The states, by short names so that the table stays a table.
var (
	draft                 = State{Draft, NoStage}
	awaitingPayment       = State{AwaitingPayment, NoStage}
	awaitingAuthorization = State{InReview, AwaitingAuthorization}
	queued                = State{InReview, Queued}
	claimed               = State{InReview, Claimed}
	secondApproval        = State{InReview, SecondApproval}
	fixable               = State{Rejected, Fixable}
	closed                = State{Rejected, Closed}
	unclaimed             = State{ToIssue, Unclaimed}
	making                = State{ToIssue, Making}
	makingFailed          = State{ToIssue, MakingFailed}
	renewReady            = State{ToRenew, Ready}
	renewRunning          = State{ToRenew, Running}
	renewInterrupted      = State{ToRenew, Interrupted}
	downloadReady         = State{ToDownload, Ready}
	downloadRunning       = State{ToDownload, Running}
	downloadInterrupted   = State{ToDownload, Interrupted}
	toRestore             = State{ToRestore, NoStage}
	toUnlock              = State{ToUnlock, NoStage}
	toPost                = State{ToShip, ToPost}
	toPickUp              = State{ToShip, ToPickUp}
	completed             = State{Completed, NoStage}
	refunded              = State{Refunded, NoStage}

	// Same, as a row's To, leaves the state as it is.
	Same = State{Status: "same"}

	refundableBefore     = states(awaitingAuthorization, queued, claimed, secondApproval, fixable, unclaimed, making, makingFailed, renewReady, renewRunning, renewInterrupted, downloadReady, downloadRunning, downloadInterrupted, toUnlock, toRestore)
	refundable           = append(slices.Clip(refundableBefore), toPost, toPickUp, completed, closed)
	openAboutCertificate = states(awaitingAuthorization, queued, claimed, secondApproval, fixable, unclaimed, renewReady, renewRunning, renewInterrupted, toUnlock, toRestore)

	butRenewal       = of(Initial, Reissue, Recover)
	fetched          = of(Initial, Reissue) // onto the subscriber's own USBKEY
	made             = of(Initial, Reissue, Renewal)
	shipped          = of(Initial, Reissue, Renewal, Recover)
	aboutCertificate = of(Renewal, UnlockApproval, Resume)

	readyToConfirm       = facts(OnSale, CertificateFit, Complete, Consented, MobileProven)
	readyToApprove       = facts(HoldsClaim, NotOwnOrder, NotOwnCompany, AllTicked, SameSnapshot, Authorized, RealNamePassed, OnSale, CertificateFit)
	readyToApproveSecond = facts(NotFirstApprover, NotOwnOrder, NotOwnCompany, AllTicked, SameSnapshot, Authorized, RealNamePassed, OnSale, CertificateFit)
	mayDecide            = facts(HoldsClaimOrSecond, NotOwnOrder, NotOwnCompany)
	readyToResubmit      = facts(LinesUnchanged, CertificateFit, Complete, MobileProvenIfChanged)

	unpaidTimers = do(after(6*day, Remind(NoticeUnpaid)), after(payWithin, Unpaid))

	toReview = do(notify(NoticeReviewTask), job(JobRealName), escalate)
	// The legal representative is asked, and reminded while he has not answered; at
	// another number he has as long.
	toLegalRep = append(do(authorize(askLegalRep)), whileAsked...)
	whileAsked = do(whenWorking(2*time.Hour, day, Remind(NoticeAuthorizeSoon)), after(day, Remind(NoticeAuthorizeDay)),
		after(3*day, Remind(NoticeAuthorizeLast)), after(AuthorizationLife, AuthExpired))
	toReviewSettled = append(do(authorize(settle)), toReview...)
	toStation       = do(notify(NoticeApprovedIssue), job(JobStation))
	toReplace       = append(slices.Clip(toStation), onCertificate(RevokeCertificate))
	// Who downloads onto his own USBKEY is reminded on days 7 and 23 of 30 (row 55).
	untilFetched = do(sinceApproval(7*day, Remind(NoticeFetch)), sinceApproval(23*day, Remind(NoticeFetchLast)), grantOver)
	toDownload   = append(do(notify(NoticeApprovedDownload)), untilFetched...)
	toFetch      = append(slices.Clip(toDownload), onCertificate(RevokeCertificate))
	rejection    = do(notify(NoticeRejected), after(7*day, Remind(NoticeFix)), after(23*day, Remind(NoticeFixLast)), after(fixPaidWithin, FixExpired), after(fixFreeWithin, Close))

	givenUp    = do(giveBack, notify(NoticeKeysGivenUp))
	lateRefund = do(onAllKeys(RefundCertificate), job(JobRefund), notify(NoticeRefundStarted))
	// retireOld ends the certificate of a renewal onto a new USBKEY, once that is there (F9).
	retireOld         = after(30*day, OldRetired)
	onTheWay          = do(notify(NoticeShipped), invoicing, job(JobParcel), fulfilling)
	interruptIfSilent = do(after(15*time.Minute, Interrupt))

	tooLateToWithdraw = Errorf(Conflict, "too_late_to_withdraw", "证书已制作，如需停用请办理吊销")
	nothingToRefund   = Errorf(Conflict, "nothing_to_refund", "订单无支付金额，无需退款")
)

const day = 24 * time.Hour

// payWithin is how long an order waits to be paid (row 8).
const payWithin = 7 * day

// A rejected order waits so long to be put right (rows 34 and 35).
const (
	fixPaidWithin = 30 * day
	fixFreeWithin = 90 * day
)

// renewalOver is why an approved renewal that nobody wrote in time is closed (row 54).
const renewalOver = "更新期限已过，请重新办理"

// certificateGone is why an order about a certificate is closed (rows 61 and 62).
const certificateGone = "证书已吊销"

// ClaimLife is how long a reviewer's claim locks an order (row 21).
const ClaimLife = 15 * time.Minute

// AssignLife is how long a task stays with whom it was assigned to: he did not ask
// for it and may be away.
const AssignLife = 2 * time.Hour

// A transition is one row: an order in From, on event On by one of By, when all
// of When hold, goes to To, provided all of If hold; then Then follows.
type transition struct {
	Row  int
	Of   []Business // nil: all but unlock_self
	From []State
	On   Event
	// When tells rows for the same event apart; at most one row matches.
	When []Fact
	To   State
	By   []Role
	// If must hold; the first that does not is the refusal people read.
	If []Fact
	// Do changes fields of the order beside its state.
	Do   func(*Order, Command)
	Then []followUp
	// Refund, when set, is the overlay after the row.
	Refund RefundState
	// DuringRefund marks the rows that still work while money is on its way back.
	DuringRefund bool
	// Refuse makes the row an explicit refusal.
	Refuse *Error
	// Later marks rows whose surface does not exist yet: tests walk them, the
	// service refuses them.
	Later bool
}

// of, states, facts, roles and do make the table's cells.
func of(b ...Business) []Business { return b }
func states(s ...State) []State   { return s }
func facts(f ...Fact) []Fact      { return f }
func roles(r ...Role) []Role      { return r }
func do(f ...followUp) []followUp { return f }

// to is the state after the row for an order in state s.
func (t transition) to(s State) State {
	if t.To == Same {
		return s
	}
	return t.To
}

// butReissue is for rows that do more for a replacement.
var butReissue = slices.DeleteFunc(slices.Clone(allButUnlockSelf), func(b Business) bool { return b == Reissue })

// butReplacing is for rows that do more when one certificate has replaced another.
var butReplacing = slices.DeleteFunc(slices.Clone(butReissue), func(b Business) bool { return b == Renewal })

// allButUnlockSelf is what a row without businesses is for.
var allButUnlockSelf = slices.DeleteFunc(slices.Clone(Businesses), func(b Business) bool { return b == UnlockSelf })

func (t transition) businesses() []Business {
	if t.Of == nil {
		return allButUnlockSelf
	}
	return t.Of
}

// matches reports whether a row of this event is about this order and state.
func (t *transition) matches(o Order, c Command) bool {
	if !slices.Contains(t.businesses(), o.Business) || !slices.Contains(t.From, o.State) {
		return false
	}
	return !slices.ContainsFunc(t.When, func(f Fact) bool { return f.check(o, c) != nil })
}

// rowsOn are the rows of each event, in the order of the table.
var rowsOn = func() map[Event][]*transition {
	rows := map[Event][]*transition{}
	for i := range lifecycle {
		t := &lifecycle[i]
		rows[t.On] = append(rows[t.On], t)
	}
	return rows
}()

// next finds the row for a command, or says in the reader's terms why there is
// none.
func next(o Order, c Command) (transition, error) {
	rows := rowsOn[c.On]
	i := slices.IndexFunc(rows, func(t *transition) bool { return t.matches(o, c) })
	switch {
	case i < 0 && o.State == None:
		return transition{}, Errorf(Conflict, "not_applied_for", "%s不需要提交申请，请在「我的证书」中选择证书后直接办理", o.Business.Label())
	case i < 0:
		return transition{}, Errorf(Conflict, "order_not_ready", "订单当前状态为「%s」，不能执行该操作，请刷新后查看", o.State.Label())
	}
	t := *rows[i]
	switch {
	case !slices.Contains(t.By, c.By.Role):
		return transition{}, Errorf(Forbidden, "role_not_allowed", "您没有执行该操作的权限")
	case o.Refund != NoRefund && !t.DuringRefund:
		return transition{}, Errorf(Conflict, "refund_in_progress", "订单%s，不能执行其他操作", o.Refund.Label())
	case t.Refuse != nil:
		return transition{}, t.Refuse
	}
	for _, f := range t.If {
		if err := f.check(o, c); err != nil {
			return transition{}, err
		}
	}
	return t, nil
}
