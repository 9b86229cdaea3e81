//! `JWT` of `service-intentions` and of their permissions.

use crate::fields::Fields;
use peerway_model::config::{JwtRequirement, WantedClaim, WantedToken};
use peerway_model::{Invalid, ProviderName};
use serde_json::{Map, Value, json};

/// Takes the field `JWT`.
pub(super) fn jwt_from(fields: &mut Fields<'_>) -> Result<Option<JwtRequirement>, Invalid> {
    let Some(mut jwt) = fields.object("JWT")? else {
        return Ok(None);
    };
    let tokens = jwt
        .objects("Providers")?
        .into_iter()
        .map(token)
        .collect::<Result<_, _>>()?;
    jwt.finish()?;
    Ok(Some(JwtRequirement { tokens }))
}

fn token(mut fields: Fields<'_>) -> Result<WantedToken, Invalid> {
    let provider = fields
        .parsed("Name", ProviderName::new)?
        .ok_or_else(|| fields.missing("Name"))?;
    let claims = fields
        .objects("VerifyClaims")?
        .into_iter()
        .map(claim)
        .collect::<Result<_, _>>()?;
    fields.finish()?;
    Ok(WantedToken { provider, claims })
}

fn claim(mut fields: Fields<'_>) -> Result<WantedClaim, Invalid> {
    let path = fields.texts("Path")?;
    let value = fields.required("Value")?;
    fields.finish()?;
    Ok(WantedClaim { path, value })
}

/// The field as it is read.
pub(crate) fn jwt_json(jwt: &JwtRequirement) -> Value {
    let claim = |WantedClaim { path, value }: &WantedClaim| json!({ "Path": path, "Value": value });
    let token = |WantedToken { provider, claims }: &WantedToken| {
        let mut out = Map::new();
        out.insert("Name".to_owned(), json!(provider.as_str()));
        if !claims.is_empty() {
            out.insert("VerifyClaims".to_owned(), claims.iter().map(claim).collect());
        }
        Value::Object(out)
    };
    json!({ "Providers": jwt.tokens.iter().map(token).collect::<Vec<_>>() })
}
