//! The numbers by which the machine is told what happened, and the bits that come with some.

/// A machine begins (for whoever makes it): flags, and what storage kept behind a seed of 32 bytes.
pub const BEGIN: u32 = 0;
/// Storage holds something else by now: its texts as for a beginning.
pub const REMIND: u32 = 1;
/// What is allowed was said: its bits, and the field `"consent":{…}` of circumstances.
pub const CONSENT: u32 = 2;
/// Everything that waits is to be sent now.
pub const FLUSH: u32 = 3;
/// The page went out of sight; it may never come back.
pub const HIDDEN: u32 = 4;
/// The page shows something else from here on: the fields of its circumstances.
pub const PAGE: u32 = 5;
/// The page goes away now.
pub const GONE: u32 = 6;
/// The page is back from the back/forward cache.
pub const BACK: u32 = 7;
/// A delivery failed: its request, and the wait that was asked for, ms.
pub const FAILED: u32 = 8;
/// The site's settings: `as_of`, the urgent types as a JSON list, events, bytes and age of a flush,
/// bytes and events of a batch, bytes of an event; what is not said is empty.
pub const SITE: u32 = 9;
/// The hint stream is closed for good: the browser will not try again by itself.
pub const STREAM_FAILED: u32 = 10;
/// The hint stream is open.
pub const STREAM_OPENED: u32 = 11;
/// The time of the last wake has come.
pub const TICK: u32 = 12;
/// The hint stream's id and event, then epoch and cause of its data, and the data itself.
pub const EVENT: u32 = 13;
/// Something happened on the page: when, then its id, its type as JSON, its properties as JSON.
pub const TRACK: u32 = 14;
/// A receipt: its request; the limits in the order of [`SITE`], the share to be sent as JSON and in
/// buckets, visitor, token and its end; then for each verdict its index, the wait where it is to be
/// sent again, and itself as JSON.
pub const RECEIPT: u32 = 15;
/// The batch can never be taken: its request, and the reason.
pub const SPOILED: u32 = 16;
/// The collector wants nothing of this page: the request.
pub const STOPPED: u32 = 17;
/// The browser is somebody else's from here on, as after a log-out.
pub const RENEWED: u32 = 18;
/// The network is back, and the last delivery had no answer: the wait after it is over.
pub const ONLINE: u32 = 19;

/// Consent to analytics: bits of a consent are in the order of `Purpose::ALL`.
pub const ANALYTICS: u64 = 2;
/// Consent to personalization.
pub const PERSONALIZATION: u64 = 8;
/// What is stored outlives the page: in the flags of a beginning.
pub const KEPT: u64 = 32;
/// Somebody has said what is allowed, the visitor or the site.
pub const SAID: u64 = 64;
