//! Days as dates and dates as days, for the access log, timestamps and certificates.

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar: Howard Hinnant's
/// `civil_from_days`, with years that begin in March, so that the leap day is the last of its year. Days before the
/// year 0, and some eleven million years from now, are taken for the first and the last that it can tell.
pub(crate) fn civil(days: i64) -> (u32, u32, u32) {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_PER_ERA: u32 = 146_097;
    let days = days.saturating_add(DAYS_TO_1970).clamp(0, u32::MAX.into());
    let days = u32::try_from(days).expect("it was brought into 32 bits");
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + u32::from(month <= 2), month, day)
}

/// The days from 1970-01-01 to a date, the other way round. The year is at least 1.
pub(crate) fn days(year: u32, month: u32, day: u32) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    i64::from(days) - 719_468
}

#[cfg(test)]
mod tests {
    //! Dates on both sides of 1970, and what no clock says.

    use super::{civil, days};

    #[test]
    fn days_become_dates() {
        for (number, date) in [
            (-719_162, (1, 1, 1)),
            (-1, (1969, 12, 31)),
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_788, (2026, 12, 1)),
            (2_932_896, (9999, 12, 31)),
        ] {
            assert_eq!(civil(number), date);
            assert_eq!(days(date.0, date.1, date.2), number);
        }
    }

    #[test]
    fn absurd_days_are_some_date() {
        assert_eq!(civil(i64::MIN), civil(-719_468));
        assert_eq!(civil(i64::MAX), civil(i64::from(u32::MAX)));
    }
}
