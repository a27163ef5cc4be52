//! What the operator sets: parameters, and what executes packages.
use super::{Resources, Small};
use crate::contract::{key, word};
use crate::decimal::Decimal;
use crate::document::{Document, Sample};
use crate::mail::Down;
use crate::number;
use wasmote_coap::{Answer, Code, Request, Response};

/// The two tiers by their names.
fn tier_name(interpreted: bool) -> &'static str {
    if interpreted {
        word::INTERPRETED
    } else {
        word::COMPILED
    }
}

impl Resources {
    /// What executes the package that runs.
    pub(super) fn tiers(&self, d: &mut Document<'_, '_>) {
        let tiers = self.app.tiers;
        d.text(key::TIER, tier_name(tiers.code == 0));
        if tiers.code > 0 {
            d.uint(key::CODE, tiers.code);
        } else {
            d.text(key::WHY, tiers.why);
        }
    }

    pub(super) fn tier(&self, d: &mut Document<'_, '_>) {
        d.text(key::CHOSEN, tier_name(self.app.interpreted));
        if self.runs() {
            self.tiers(d);
        }
        d.uint(key::ARENA, self.app.arena);
    }

    /// Which tier packages get from now on.
    pub(super) fn set_tier(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
    ) -> Answer {
        match Self::small(request, response) {
            Some(Small::Text(word::COMPILED)) => {
                self.send(request, response, |ticket| Down::Tier(ticket, false))
            }
            Some(Small::Text(word::INTERPRETED)) => {
                self.send(request, response, |ticket| Down::Tier(ticket, true))
            }
            Some(_) => response.fail(Code::BAD_REQUEST, format_args!("compiled or interpreted")),
            None => Answer::Now,
        }
    }

    pub(super) fn parameter(&self, response: &mut Response<'_>, name: &str, form: u16) {
        let found = self.find_parameter(name);
        if let Some(value) = found.and_then(|(index, _)| self.app.parameters.get(index)) {
            let (value, at) = (*value, self.now);
            let one = [Sample { value, at }];
            self.samples(response, form, name, "", None, &mut one.iter());
        }
    }

    pub(super) fn set_parameter(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        name: &str,
    ) -> Answer {
        let Some((index, parameter)) = self.find_parameter(name) else {
            response.code(Code::NOT_FOUND);
            return Answer::Now;
        };
        let Some(body) = Self::small(request, response) else {
            return Answer::Now;
        };
        let range = parameter.minimum..=parameter.maximum;
        let value = match body {
            Small::Text(text) => number::parse(text),
            Small::Number(number) => number.float(),
        };
        match value {
            Some(value) if range.contains(&value) => self.send(request, response, |ticket| {
                Down::Parameter(ticket, index as u8, value)
            }),
            _ => response.fail(
                Code::BAD_REQUEST,
                format_args!(
                    "{name} takes a number from {} to {}",
                    Decimal::from(*range.start()),
                    Decimal::from(*range.end())
                ),
            ),
        }
    }
}
