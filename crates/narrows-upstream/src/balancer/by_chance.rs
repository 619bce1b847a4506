//! Any endpoint, in proportion to the weights.

use super::Balancer;
use crate::candidate::Score;
use crate::members::Asking;

/// Any endpoint, in proportion to the weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByChance;

impl Balancer for ByChance {
    fn pick(&self, asking: &Asking<'_>) -> Option<usize> {
        asking.members.draw(asking)
    }

    fn scores(&self, asking: &Asking<'_>) -> Vec<Option<Score>> {
        let members = asking.members;
        let weights = (0..members.endpoints().len()).map(|member| members.weight_now(member));
        let total: f64 = weights.clone().sum();
        weights.map(|weight| (total > 0.0).then(|| Score::Share(weight / total))).collect()
    }

    fn copied(&self) -> Box<dyn Balancer> {
        Box::new(*self)
    }
}
