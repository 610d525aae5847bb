//! Edits a request so that one provider's one model accepts it. The row's quirks are about chat requests and do not
//! hold here, except that usage in streams is asked for in the same way.

use crate::document::Document;
use crate::exchange::Target;
use crate::loss::Losses;
use crate::openai_chat::adapt::{parameters, write_model};
use crate::{adapt, field_path};

/// See [`Codec::adapt_request`](crate::codec::Codec::adapt_request).
pub(super) fn adapt_request(document: &mut Document<'_>, target: &Target<'_>, losses: &mut Losses) {
    write_model(document, target);
    adapt::drop_listed(document, target, losses, field_path::remove_exact);
    // A list of one prompt is that prompt; some servers know the string only.
    let one = document.get("prompt").filter(|prompt| prompt.starts_with('['));
    if let Some([prompt]) = one.and_then(|list| serde_json::from_str::<[String; 1]>(list).ok()) {
        document.set_text("prompt", &prompt);
    }
    parameters::write_stream_options(document, target, losses);
}
