//! From `PrioritizeByLocality` to whether callers prefer instances that are near.

use crate::fields::Fields;
use peerway_model::Invalid;
use peerway_model::config::ByLocality;

/// Takes `PrioritizeByLocality`. An object without a `Mode` says nothing.
pub(super) fn by_locality_from(fields: &mut Fields<'_>) -> Result<Option<ByLocality>, Invalid> {
    let Some(mut one) = fields.object("PrioritizeByLocality")? else {
        return Ok(None);
    };
    let mode = one.parsed("Mode", |text| {
        ByLocality::parse(text).ok_or_else(|| {
            let offered = ByLocality::ALL
                .map(|mode| format!("{:?}", mode.as_str()))
                .join(" or ");
            Invalid::new("", format!("is {text:?}, use {offered}"))
        })
    })?;
    one.finish()?;
    Ok(mode)
}
