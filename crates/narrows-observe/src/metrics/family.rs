//! Metrics as they are told, whatever the format.

use super::{Distribution, Scale};

/// All samples of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name, without the ending that a format adds.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// One for each combination of labels.
    pub samples: Vec<Sample>,
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its name ends in `_total` when it is told.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How values are distributed.
    Histogram,
}

/// One combination of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Names and values, in order.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: Value,
}

/// What a sample is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number.
    Number(f64),
    /// A distribution, and a value of it whose trace is known.
    Distribution(Distribution, Option<Exemplar>),
}

/// A value of a distribution with the trace that it was seen in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The trace.
    pub trace: [u8; 16],
    /// The value.
    pub value: f64,
    /// When, in seconds since 1970.
    pub unix: u64,
}

impl Family {
    /// One without samples.
    pub fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Family { name, help, kind, samples: Vec::new() }
    }

    /// One with a single number without labels.
    pub fn single(name: &'static str, kind: Kind, help: &'static str, number: f64) -> Self {
        let mut family = Family::new(name, kind, help);
        family.add(&[], number);
        family
    }

    /// Adds a number.
    pub fn add(&mut self, labels: &[(&'static str, &str)], number: f64) {
        self.push(labels, Value::Number(number));
    }

    /// Adds a sample.
    pub fn push(&mut self, labels: &[(&'static str, &str)], value: Value) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push(Sample { labels, value });
    }

    /// The distribution of these labels, made when it is not there.
    pub fn distribution(&mut self, labels: &[(&'static str, &str)], scale: Scale) -> &mut Distribution {
        let is_same = |sample: &Sample| {
            sample.labels.iter().map(|(name, value)| (*name, value.as_str())).eq(labels.iter().copied())
        };
        let place = self.samples.iter().position(is_same).unwrap_or_else(|| {
            self.push(labels, Value::Distribution(Distribution::new(scale), None));
            self.samples.len() - 1
        });
        match &mut self.samples[place].value {
            Value::Distribution(distribution, _) => distribution,
            number @ Value::Number(_) => {
                *number = Value::Distribution(Distribution::new(scale), None);
                match number {
                    Value::Distribution(distribution, _) => distribution,
                    Value::Number(_) => unreachable!("it was just made"),
                }
            }
        }
    }
}
