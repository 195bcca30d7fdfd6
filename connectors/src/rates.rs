//! Exchange rates of a source that publishes them: one request, one answer, a rate for each pair of its day.

use chrono::{DateTime, NaiveDate};
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest};
use domain::value::Value;

use crate::connector::Connector;
use crate::decode::Decoder;
use crate::manifest::{Rates, TimeFormat};
use crate::path;
use crate::read::{parse, position};
use crate::request::{CallVars, RequestContext, RequestError};
use crate::response::is_success;

/// Pairs of one answer; there are fewer than two hundred currencies.
const RATES_MAX: usize = 1_000;

/// What one unit of a currency cost in another on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRate {
    pub from: String,
    pub to: String,
    pub day: NaiveDate,
    /// Decimal digits, as they came.
    pub rate: String,
}

impl Connector {
    /// True where it publishes rates.
    #[must_use]
    pub fn has_rates(&self) -> bool {
        self.manifest.rates.is_some()
    }

    /// The request for the latest rates; `None` where the connector publishes none.
    ///
    /// # Errors
    /// Where the connection lacks something that the request needs.
    pub fn rates_request(&self, context: &RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError> {
        let rates = self.manifest.rates.as_ref();
        rates.map(|rates| self.call(&rates.read.request, &CallVars::default(), context)).transpose()
    }

    /// The rates of an answer.
    ///
    /// # Errors
    /// The classified fault; an answer without a day or a rate is one that cannot be read.
    pub fn read_rates_answer(&self, answer: &HttpAnswer) -> Result<Vec<PublishedRate>, Fault> {
        let Some(rates) = &self.manifest.rates else { return Ok(vec![]) };
        if !is_success(answer) {
            return Err(self.classify(answer));
        }
        let values: Vec<String> = std::iter::once(rates.date.clone()).chain(rates.base_path.clone()).collect();
        let decoder = Decoder::new(&rates.read, (None, None), &values, &self.manifest.error.inside);
        let decoded = decoder.decode(&answer.body).map_err(|error| self.unreadable_page(answer, &error))?;
        if decoded.has_error_inside {
            return Err(self.classify(answer));
        }
        let said = |at: usize| decoded.values.get(at).cloned().flatten();
        let base = rates.base.clone().or_else(|| said(1)).ok_or_else(|| self.without(answer, "the currency that they are of"))?;
        let day = said(0).and_then(|text| day(rates, &text)).ok_or_else(|| self.without(answer, "the day that they are of"))?;
        let mut published = Vec::new();
        for record in &decoded.records {
            let record = parse(self, record, answer)?;
            for (to, rate) in pairs(rates, &record) {
                published.push(PublishedRate { from: base.clone(), to, day, rate });
            }
        }
        if published.is_empty() || published.len() > RATES_MAX {
            return Err(self.without(answer, "a bearable number of rates"));
        }
        Ok(published)
    }

    fn without(&self, answer: &HttpAnswer, what: &str) -> Fault {
        let reason = format!("{} published rates without {what}", self.title());
        let fix = "Nothing to do, it is read again. If it stays, the source has changed its format.";
        Fault::new(FaultClass::Retry, "unreadable_rates", reason, Owner::Vendor, fix).answered(answer.status)
    }
}

fn day(rates: &Rates, text: &str) -> Option<NaiveDate> {
    let default = TimeFormat::Pattern("%Y-%m-%d".to_owned());
    let at = position::read(text, rates.date_format.as_ref().unwrap_or(&default))?;
    Some(DateTime::from_timestamp_micros(at)?.date_naive())
}

fn pairs(rates: &Rates, record: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.to_text().map(|text| text.into_owned());
    match (&rates.to, &rates.rate) {
        (Some(to), Some(rate)) => {
            let found = |at: &str| path::first(record, at).and_then(text);
            found(to).zip(found(rate)).into_iter().collect()
        }
        _ => {
            let pairs = record.as_map().into_iter().flatten();
            pairs.filter_map(|(currency, rate)| Some((currency.clone(), text(rate)?))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn answer(body: &str) -> HttpAnswer {
        HttpAnswer { status: 200, headers: vec![], body: body.as_bytes().to_vec().into() }
    }

    fn shown(rates: Vec<PublishedRate>) -> Vec<String> {
        rates.into_iter().map(|rate| format!("{}/{} {} {}", rate.from, rate.to, rate.day, rate.rate)).collect()
    }

    fn connector(rates: &str) -> Connector {
        let yaml =
            format!("format: 1\nname: bank\ntitle: Bank\ncategory: generic\nbase_url: https://bank.example\nrates:\n{rates}");
        Connector::from_files("bank", HashMap::from([("connector.yaml".to_owned(), yaml)])).unwrap()
    }

    #[test]
    fn a_map_of_rates_keeps_its_digits_and_says_its_own_base_and_second() {
        let bank = connector(
            "  read: { request: { method: GET, path: /latest }, records: rates }\n  base_path: base\n  date: timestamp\n  date_format: unix_s\n",
        );
        let body = r#"{"base":"USD","timestamp":1795512600,"rates":{"EUR":0.92345678901234567890,"JPY":157}}"#;
        assert_eq!(
            shown(bank.read_rates_answer(&answer(body)).unwrap()),
            ["USD/EUR 2026-11-24 0.92345678901234567890", "USD/JPY 2026-11-24 157"]
        );
        for (body, why) in [
            (r#"{"timestamp":1795512600,"rates":{"EUR":1}}"#, "the currency that they are of"),
            (r#"{"base":"USD","rates":{"EUR":1}}"#, "the day that they are of"),
            (r#"{"base":"USD","timestamp":1795512600,"rates":{}}"#, "a bearable number of rates"),
        ] {
            let fault = bank.read_rates_answer(&answer(body)).unwrap_err();
            assert_eq!(fault.reason, format!("Bank published rates without {why}"));
        }
        assert!(bank.read_rates_answer(&answer("<html>")).is_err());
    }

    #[test]
    fn the_central_banks_own_file_is_read() {
        let bank = crate::Catalog::embedded().get("ecb").unwrap();
        let rates = bank.read_rates_answer(&answer(bank.file("samples/rates.in.xml").unwrap())).unwrap();
        assert_eq!(shown(rates)[..2], ["EUR/USD 2026-11-27 1.0842", "EUR/JPY 2026-11-27 160.55"]);
    }
}
