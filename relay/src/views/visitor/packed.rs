//! A visitor's state as it is kept in memory and on the disk: a quarter of the JSON that is published,
//! and read and written in a fraction of the time.
//!
//! It begins with [`FORM`], as no JSON does. Whole numbers take seven bits a byte, the lowest first;
//! a moment is its distance from the one before it in the same state, positive or not; a text is its
//! length and its bytes, a list its length and its elements; what may be absent is told by the bits
//! of a number before it. Fields come in the order in which they stand in [`pack`].
//!
//! Each form that was ever kept stays readable, see `golden/states`.

use clickmill_sdk_core::wire::{
    Asked, BasketWord, Campaign, CustomerId, EventId, Gap, Millis, PageKind, PromotionMark, Proven,
    QueueId, QueueMark, RuleName, SessionId, SessionView, SessionViewParts, Sight, Sku, Visit,
    Wait, Word,
};
use clickmill_streams::Poison;

/// The form that is written.
pub(super) const FORM: u8 = 5;

/// The form before it, which did not know by which events basket and customer are known, nor the
/// category of a page.
const FORM_4: u8 = 4;

/// The form before that, which knew no customers.
const FORM_3: u8 = 3;

/// The form before that, which knew nothing of what is waited for.
const FORM_2: u8 = 2;

/// The form before that, which knew nothing of orders and promotions, nor of the page of an event that asked.
const FORM_1: u8 = 1;

/// Appends a state.
pub(super) fn pack(state: &SessionViewParts<'_>, into: &mut Vec<u8>) {
    let SessionViewParts { visits, sessions, seen, basket, bought, asked, .. } = *state;
    let SessionViewParts { queues, promotions, waits, customer, .. } = *state;
    let SessionViewParts { basket_words, customer_word, .. } = *state;
    into.push(FORM);
    let mut to = Packer { to: into, moment: 0 };
    to.number(visits.into());
    to.list(sessions, Packer::visit);
    to.list(seen, Packer::sight);
    to.list(basket, |to, sku| to.text(sku.as_str()));
    to.list(asked.as_slice(), |to, asked| to.asked(asked));
    to.list(queues, Packer::queue);
    to.list(bought, Packer::sight);
    let page = asked.map(|asked| asked.page).filter(|page| *page != PageKind::Other);
    to.texts([page.map(PageKind::as_str), asked.and_then(|asked| asked.locale.as_deref())]);
    to.list(promotions, Packer::promotion);
    to.list(waits, Packer::wait);
    to.list(customer.as_slice(), |to, proven| to.proven(proven));
    to.texts([asked.and_then(|asked| asked.category.as_deref())]);
    to.list(basket_words, |to, BasketWord { sku, word }| {
        to.text(sku.as_str());
        to.word(word);
    });
    to.list(customer_word.as_slice(), |to, word| to.word(word));
}

/// Reads a state.
///
/// # Errors
/// When it is none, or of a form that is not known.
pub(super) fn unpack(bytes: &[u8]) -> Result<SessionView, Poison> {
    let mut from = Unpacker { from: bytes, moment: 0 };
    let state = match from.byte()? {
        FORM_1 => from.state()?,
        form @ (FORM_2 | FORM_3 | FORM_4 | FORM) => {
            let mut state = from.state()?;
            state.bought = from.list(Unpacker::sight)?;
            let [page, locale] = from.texts()?;
            if let Some(asked) = &mut state.asked {
                asked.page = page.map(PageKind::named).unwrap_or_default();
                asked.locale = locale.map(str::to_owned);
            }
            state.promotions = from.list(Unpacker::promotion)?;
            if form != FORM_2 {
                state.waits = from.list(Unpacker::wait)?;
            }
            if matches!(form, FORM_4 | FORM) {
                state.customer = from.list(Unpacker::proven)?.pop();
            }
            if form == FORM {
                let [category] = from.texts()?;
                if let Some(asked) = &mut state.asked {
                    asked.category = category.map(str::to_owned);
                }
                state.basket_words = from.list(Unpacker::basket_word)?;
                state.customer_word = from.list(Unpacker::word)?.pop();
            }
            state
        }
        form => {
            return Err(Poison::malformed(format!(
                "a state of form {form}, which is not known here"
            )));
        }
    };
    if from.from.is_empty() { Ok(state) } else { Err(malformed("it does not end")) }
}

struct Packer<'a> {
    to: &'a mut Vec<u8>,
    /// The moment that was told last.
    moment: u64,
}

impl Packer<'_> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.to.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.to.push(number as u8);
    }

    fn moment(&mut self, Millis(moment): Millis) {
        let distance = moment.wrapping_sub(self.moment).cast_signed();
        // The sign in the lowest bit, so that a small step back is a small number, too.
        self.number(((distance << 1) ^ (distance >> 63)).cast_unsigned());
        self.moment = moment;
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.to.extend_from_slice(text.as_bytes());
    }

    fn list<T>(&mut self, list: &[T], each: impl Fn(&mut Self, &T)) {
        self.number(list.len() as u64);
        list.iter().for_each(|element| each(self, element));
    }

    /// Texts of which some may be absent.
    fn texts<const N: usize>(&mut self, texts: [Option<&str>; N]) {
        let bits = texts.iter().rev().fold(0, |bits, text| bits << 1 | u64::from(text.is_some()));
        self.number(bits);
        texts.into_iter().flatten().for_each(|text| self.text(text));
    }

    fn visit(&mut self, visit: &Visit) {
        let Visit { id, number, started, last, events, pages, products, engaged_ms, .. } = visit;
        let Visit { referrer, campaign, searches, .. } = visit;
        let nothing = Campaign::default();
        let Campaign { source, medium, name, term, content } =
            campaign.as_ref().unwrap_or(&nothing);
        self.texts([
            id.as_ref().map(SessionId::as_str),
            referrer.as_deref(),
            // A campaign without any mark is still one.
            campaign.is_some().then_some(""),
            source.as_deref(),
            medium.as_deref(),
            name.as_deref(),
            term.as_deref(),
            content.as_deref(),
        ]);
        self.number((*number).into());
        self.moment(*started);
        self.moment(*last);
        self.number((*events).into());
        self.number((*pages).into());
        self.number((*products).into());
        self.number(*engaged_ms);
        self.list(searches, |to, search| to.text(search));
    }

    fn sight(&mut self, Sight { sku, at, visit }: &Sight) {
        self.text(sku.as_str());
        self.moment(*at);
        self.number((*visit).into());
    }

    fn asked(&mut self, asked: &Asked) {
        let Asked { event, partition, offset, received_at, time, personalization, .. } = asked;
        self.to.extend_from_slice(event.uuid().as_bytes());
        self.number((*partition).into());
        self.number(*offset);
        self.moment(*received_at);
        self.moment(*time);
        self.number(personalization.map_or(0, |allowed| 1 + u64::from(allowed)));
    }

    fn queue(&mut self, QueueMark { id, highest, gaps }: &QueueMark) {
        self.text(id.as_str());
        self.number(*highest);
        // Each end lies behind the one before.
        let mut end = 0;
        self.number(gaps.len() as u64);
        for Gap(from, to) in gaps {
            self.number(from.wrapping_sub(end));
            self.number(to.wrapping_sub(*from));
            end = *to;
        }
    }

    fn promotion(&mut self, mark: &PromotionMark) {
        let PromotionMark { rule, times, day, today, visit, in_visit, at, until, .. } = mark;
        let sku = mark.sku.as_ref().map(Sku::as_str);
        self.texts([Some(rule.as_str()), sku, mark.held_out.then_some("")]);
        for number in [times, day, today, visit, in_visit] {
            self.number((*number).into());
        }
        self.moment(*at);
        self.moment(*until);
    }

    fn wait(&mut self, Wait { sku, partition, offset, back }: &Wait) {
        self.text(sku.as_str());
        self.number((*partition).into());
        self.number(*offset);
        self.list(back.as_slice(), |to, back| to.moment(*back));
    }

    fn proven(&mut self, Proven { id, until }: &Proven) {
        self.text(id.as_str());
        self.moment(*until);
    }

    fn word(&mut self, Word { at, queue, seq }: &Word) {
        self.moment(*at);
        self.number((*queue).into());
        self.number(*seq);
    }
}

struct Unpacker<'a> {
    from: &'a [u8],
    moment: u64,
}

impl<'a> Unpacker<'a> {
    fn state(&mut self) -> Result<SessionView, Poison> {
        Ok(SessionView {
            visits: self.small()?,
            sessions: self.list(Self::visit)?,
            seen: self.list(Self::sight)?,
            basket: self.list(Self::sku)?,
            asked: self.list(Self::asked)?.pop(),
            queues: self.list(Self::queue)?,
            bought: Vec::new(),
            promotions: Vec::new(),
            waits: Vec::new(),
            customer: None,
            basket_words: Vec::new(),
            customer_word: None,
        })
    }

    fn byte(&mut self) -> Result<u8, Poison> {
        let (byte, rest) = self.from.split_first().ok_or_else(|| malformed("it ends"))?;
        self.from = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u64, Poison> {
        let mut number = 0;
        for at in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << at;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(malformed("a number is too long"))
    }

    fn small(&mut self) -> Result<u32, Poison> {
        u32::try_from(self.number()?).map_err(Poison::malformed)
    }

    fn moment(&mut self) -> Result<Millis, Poison> {
        let number = self.number()?;
        let distance = (number >> 1) ^ (number & 1).wrapping_neg();
        self.moment = self.moment.wrapping_add(distance);
        Ok(Millis(self.moment))
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Poison> {
        let (bytes, rest) =
            self.from.split_at_checked(length).ok_or_else(|| malformed("it ends"))?;
        self.from = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, Poison> {
        let length = usize::try_from(self.number()?).map_err(Poison::malformed)?;
        std::str::from_utf8(self.bytes(length)?).map_err(Poison::malformed)
    }

    fn list<T>(&mut self, each: impl Fn(&mut Self) -> Result<T, Poison>) -> Result<Vec<T>, Poison> {
        let length = usize::try_from(self.number()?).map_err(Poison::malformed)?;
        // No element takes less than a byte, so a false length reserves no more than there is.
        let mut list = Vec::with_capacity(length.min(self.from.len()));
        for _ in 0..length {
            list.push(each(self)?);
        }
        Ok(list)
    }

    fn texts<const N: usize>(&mut self) -> Result<[Option<&'a str>; N], Poison> {
        let bits = self.number()?;
        let mut texts = [None; N];
        for (at, text) in texts.iter_mut().enumerate() {
            if bits >> at & 1 == 1 {
                *text = Some(self.text()?);
            }
        }
        Ok(texts)
    }

    fn visit(&mut self) -> Result<Visit, Poison> {
        let [id, referrer, campaign, marks @ ..] = self.texts::<8>()?;
        let [source, medium, name, term, content] = marks.map(|mark| mark.map(str::to_owned));
        Ok(Visit {
            id: id.map(SessionId::parse).transpose().map_err(Poison::malformed)?,
            referrer: referrer.map(str::to_owned),
            campaign: campaign.map(|_| Campaign { source, medium, name, term, content }),
            number: self.small()?,
            started: self.moment()?,
            last: self.moment()?,
            events: self.small()?,
            pages: self.small()?,
            products: self.small()?,
            engaged_ms: self.number()?,
            searches: self.list(|from| from.text().map(str::to_owned))?,
        })
    }

    fn sku(&mut self) -> Result<Sku, Poison> {
        Sku::parse(self.text()?).map_err(Poison::malformed)
    }

    fn sight(&mut self) -> Result<Sight, Poison> {
        Ok(Sight { sku: self.sku()?, at: self.moment()?, visit: self.small()? })
    }

    fn asked(&mut self) -> Result<Asked, Poison> {
        let event = self.bytes(size_of::<uuid::Bytes>())?;
        let event = uuid::Uuid::from_slice(event).map_err(Poison::malformed)?;
        Ok(Asked {
            event: EventId::from_uuid(event),
            partition: self.small()?,
            offset: self.number()?,
            received_at: self.moment()?,
            time: self.moment()?,
            personalization: match self.number()? {
                0 => None,
                allowed => Some(allowed == 2),
            },
            page: PageKind::Other,
            locale: None,
            category: None,
        })
    }

    fn queue(&mut self) -> Result<QueueMark, Poison> {
        let id = QueueId::parse(self.text()?).map_err(Poison::malformed)?;
        let (highest, mut end) = (self.number()?, 0_u64);
        let gaps = self.list(|from| Ok([from.number()?, from.number()?]))?;
        let gap = |[from, length]: [u64; 2]| {
            let start = end.wrapping_add(from);
            end = start.wrapping_add(length);
            Gap(start, end)
        };
        Ok(QueueMark { id, highest, gaps: gaps.into_iter().map(gap).collect() })
    }

    fn promotion(&mut self) -> Result<PromotionMark, Poison> {
        let [rule, sku, held_out] = self.texts::<3>()?;
        Ok(PromotionMark {
            rule: RuleName::parse(rule.unwrap_or_default()).map_err(Poison::malformed)?,
            sku: sku.map(Sku::parse).transpose().map_err(Poison::malformed)?,
            held_out: held_out.is_some(),
            times: self.small()?,
            day: self.small()?,
            today: self.small()?,
            visit: self.small()?,
            in_visit: self.small()?,
            at: self.moment()?,
            until: self.moment()?,
        })
    }

    fn wait(&mut self) -> Result<Wait, Poison> {
        Ok(Wait {
            sku: self.sku()?,
            partition: self.small()?,
            offset: self.number()?,
            back: self.list(Self::moment)?.pop(),
        })
    }

    fn proven(&mut self) -> Result<Proven, Poison> {
        let id = CustomerId::parse(self.text()?).map_err(Poison::malformed)?;
        Ok(Proven { id, until: self.moment()? })
    }

    fn word(&mut self) -> Result<Word, Poison> {
        Ok(Word { at: self.moment()?, queue: self.small()?, seq: self.number()? })
    }

    fn basket_word(&mut self) -> Result<BasketWord, Poison> {
        Ok(BasketWord { sku: self.sku()?, word: self.word()? })
    }
}

fn malformed(what: &str) -> Poison {
    Poison::malformed(format!("a packed state: {what}"))
}

#[cfg(test)]
mod tests;
