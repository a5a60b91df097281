//! When a rule is in force: from and until a moment, on days of the week, between hours, in the time
//! zone of a place.

use clickmill_sdk_core::wire::Millis;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde::Deserialize;

use super::scene::Clock;

const MINUTES_OF_DAY: u32 = 24 * 60;

/// A schedule as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Draft {
    /// The first moment, as in RFC 3339.
    pub from: Option<String>,
    /// The first moment at which it is over, likewise.
    pub until: Option<String>,
    /// Days of the week, `mon` to `sun`; none is all.
    pub days: Vec<String>,
    /// From an hour to another one, such as `09:00-18:00`; over midnight where the second is earlier.
    pub hours: Option<String>,
    /// The time zone of days and hours by its IANA name; UTC if left out.
    pub zone: Option<String>,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    from: Millis,
    until: Option<Millis>,
    /// By weekday, Monday first.
    days: [bool; 7],
    /// Minutes of the day: the first one, and the first one after.
    hours: Option<(u32, u32)>,
    zone: TimeZone,
}

/// What is wrong with a schedule: the field and the reason.
pub type Wrong = (&'static str, String);

impl Default for Schedule {
    fn default() -> Self {
        Self { from: Millis(0), until: None, days: [true; 7], hours: None, zone: TimeZone::UTC }
    }
}

impl Schedule {
    /// Reads one.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn read(draft: &Draft) -> Result<Self, Wrong> {
        let zone = match &draft.zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|_| ("schedule.zone", format!("there is no time zone `{name}`")))?,
        };
        let from = draft.from.as_deref().map(|text| moment("schedule.from", text)).transpose()?;
        let until =
            draft.until.as_deref().map(|text| moment("schedule.until", text)).transpose()?;
        let from = from.unwrap_or_default();
        if until.is_some_and(|until| until <= from) {
            return Err(("schedule.until", "is not after `from`".to_owned()));
        }
        let hours = draft.hours.as_deref().map(hours).transpose()?;
        Ok(Self { from, until, days: days(&draft.days)?, hours, zone })
    }

    /// Whether it is in force at a moment.
    pub fn holds(&self, now: Millis) -> bool {
        if now < self.from || self.until.is_some_and(|until| now >= until) {
            return false;
        }
        self.days == [true; 7] && self.hours.is_none() || self.day_of(now).is_some()
    }

    /// When what begins at a moment in which it is in force is over at the latest; none where that is
    /// not known to come.
    pub fn end(&self, now: Millis) -> Option<Millis> {
        let of_day = self.day_of(now).and_then(|day| match self.hours {
            None if self.days == [true; 7] => None,
            None => self.moment(day, MINUTES_OF_DAY),
            Some((start, end)) if start < end => self.moment(day, end),
            Some((_, end)) => self.moment(day.tomorrow().ok()?, end),
        });
        [self.until, of_day].into_iter().flatten().min()
    }

    /// The moment as the place has it.
    pub fn clock(&self, now: Millis) -> Clock {
        let Some(local) = self.local(now) else { return Clock { at: now, ..Clock::default() } };
        Clock {
            at: now,
            hour: local.hour().into(),
            minute: local.minute().into(),
            weekday: local.weekday().to_monday_one_offset().into(),
        }
    }

    /// The day of a moment in the place: days since 1970.
    pub fn day_number(&self, now: Millis) -> u32 {
        let offset = self.local(now).map_or(0, |local| i64::from(local.offset().seconds()));
        let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX).saturating_add(offset);
        u32::try_from(seconds.div_euclid(24 * 3600)).unwrap_or_default()
    }

    /// The day whose hours a moment is in; none if it is in no day's.
    fn day_of(&self, now: Millis) -> Option<Date> {
        let local = self.local(now)?;
        let minute = u32::try_from(local.hour()).ok()? * 60 + u32::try_from(local.minute()).ok()?;
        let day = match self.hours {
            None => local.date(),
            Some((start, end)) if start < end => {
                (start..end).contains(&minute).then(|| local.date())?
            }
            // Over midnight: the hours of a day end on the next one.
            Some((start, _)) if minute >= start => local.date(),
            Some((_, end)) => (minute < end).then(|| local.date().yesterday().ok())??,
        };
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        self.days.get(weekday).is_some_and(|is_on| *is_on).then_some(day)
    }

    fn local(&self, now: Millis) -> Option<ZonedDateTime> {
        let timestamp = Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?;
        Some(timestamp.to_zoned_datetime(self.zone.clone()))
    }

    fn moment(&self, day: Date, minute: u32) -> Option<Millis> {
        let (day, minute) = match minute {
            MINUTES_OF_DAY => (day.tomorrow().ok()?, 0),
            minute => (day, minute),
        };
        let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
        let local = day.at(hour, minute, 0, 0).to_zoned_datetime(self.zone.clone()).ok()?;
        u64::try_from(local.timestamp().as_millisecond()).ok().map(Millis)
    }
}

fn moment(field: &'static str, text: &str) -> Result<Millis, Wrong> {
    let wrong = || {
        let example = "2026-11-27T08:00:00+01:00";
        (field, format!("`{text}` is no moment with its offset, such as `{example}`"))
    };
    let timestamp: Timestamp = text.parse().map_err(|_| wrong())?;
    u64::try_from(timestamp.as_millisecond()).map(Millis).map_err(|_| wrong())
}

fn days(names: &[String]) -> Result<[bool; 7], Wrong> {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    if names.is_empty() {
        return Ok([true; 7]);
    }
    let mut days = [false; 7];
    for name in names {
        let at = NAMES.iter().position(|known| known == name).ok_or_else(|| {
            ("schedule.days", format!("`{name}` is none of {}", NAMES.join(", ")))
        })?;
        days[at] = true;
    }
    Ok(days)
}

fn hours(text: &str) -> Result<(u32, u32), Wrong> {
    let read = || {
        let (start, end) = text.split_once('-')?;
        let (start, end) = (minute(start)?, minute(end)?);
        (start < MINUTES_OF_DAY && start != end).then_some((start, end))
    };
    let wrong = || format!("`{text}` is not from an hour to another one, such as `09:00-18:00`");
    read().ok_or_else(|| ("schedule.hours", wrong()))
}

fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |part: &str| {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?
    };
    let (hour, minute): (u32, u32) = (two(hour)?, two(minute)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= MINUTES_OF_DAY).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        moment("at", text).unwrap()
    }

    fn schedule(days: &[&str], hours: Option<&str>, zone: Option<&str>) -> Schedule {
        let draft = Draft {
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            hours: hours.map(str::to_owned),
            zone: zone.map(str::to_owned),
            ..Draft::default()
        };
        Schedule::read(&draft).unwrap()
    }

    /// Whether it is in force, and when what begins then ends.
    fn check(schedule: &Schedule, moment: &str, end: Option<&str>) {
        let now = at(moment);
        assert_eq!(schedule.holds(now), end.is_some(), "{moment}");
        if let Some(end) = end {
            assert_eq!(schedule.end(now), Some(at(end)), "{moment}");
        }
    }

    #[test]
    fn hours_are_those_of_the_place_also_when_its_clocks_change() {
        let berlin = schedule(&["mon", "sun"], Some("09:00-18:00"), Some("Europe/Berlin"));
        check(&berlin, "2026-11-23T08:59:59+01:00", None);
        check(&berlin, "2026-11-23T09:00:00+01:00", Some("2026-11-23T18:00:00+01:00"));
        check(&berlin, "2026-11-23T17:59:59+01:00", Some("2026-11-23T18:00:00+01:00"));
        check(&berlin, "2026-11-23T18:00:00+01:00", None);
        check(&berlin, "2026-11-24T12:00:00+01:00", None);
        // The clocks go back on Sunday, 2026-10-25.
        check(&berlin, "2026-10-25T08:30:00Z", Some("2026-10-25T17:00:00Z"));
        check(&berlin, "2026-10-25T07:30:00Z", None);
        check(&berlin, "2026-10-19T07:30:00Z", Some("2026-10-19T16:00:00Z"));
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let night = schedule(&["fri"], Some("22:00-02:00"), None);
        check(&night, "2026-11-27T23:00:00Z", Some("2026-11-28T02:00:00Z"));
        check(&night, "2026-11-28T01:59:00Z", Some("2026-11-28T02:00:00Z"));
        check(&night, "2026-11-28T22:30:00Z", None);
        check(&night, "2026-11-27T01:00:00Z", None);
        let days = schedule(&["sat"], None, None);
        check(&days, "2026-11-28T12:00:00Z", Some("2026-11-29T00:00:00Z"));
    }

    #[test]
    fn from_and_until_bound_the_rest() {
        let draft = Draft {
            from: Some("2026-11-27T00:00:00Z".into()),
            until: Some("2026-11-28T00:00:00Z".into()),
            ..Draft::default()
        };
        let friday = Schedule::read(&draft).unwrap();
        check(&friday, "2026-11-26T23:59:59Z", None);
        check(&friday, "2026-11-27T00:00:00Z", Some("2026-11-28T00:00:00Z"));
        check(&friday, "2026-11-28T00:00:00Z", None);
        assert_eq!(Schedule::default().end(at("2026-11-28T00:00:00Z")), None);
        assert!(
            Schedule::default().holds(Millis(0)) && Schedule::default().holds(Millis(u64::MAX))
        );
    }

    #[test]
    fn the_clock_and_the_day_are_the_places() {
        let tokyo = schedule(&[], None, Some("Asia/Tokyo"));
        let now = at("2026-11-27T20:15:00Z");
        let clock = tokyo.clock(now);
        assert_eq!((clock.hour, clock.minute, clock.weekday), (5, 15, 6));
        assert_eq!(tokyo.day_number(now), Schedule::default().day_number(now) + 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = |text: &str| Some(text.to_owned());
        for (draft, field) in [
            (Draft { zone: text("Europe/Berlim"), ..Draft::default() }, "schedule.zone"),
            (Draft { from: text("2026-11-27"), ..Draft::default() }, "schedule.from"),
            (Draft { until: text("tomorrow"), ..Draft::default() }, "schedule.until"),
            (Draft { until: text("1970-01-01T00:00:00Z"), ..Draft::default() }, "schedule.until"),
            (Draft { days: vec!["Mon".into()], ..Draft::default() }, "schedule.days"),
            (Draft { hours: text("9-18"), ..Draft::default() }, "schedule.hours"),
            (Draft { hours: text("09:00-09:00"), ..Draft::default() }, "schedule.hours"),
            (Draft { hours: text("24:00-25:00"), ..Draft::default() }, "schedule.hours"),
        ] {
            assert_eq!(Schedule::read(&draft).unwrap_err().0, field, "{draft:?}");
        }
    }
}
