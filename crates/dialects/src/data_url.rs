//! Addresses that are what they lead to: `data:image/png;base64,iVBO…` (RFC 2397).

use crate::conversation::Source;

/// An address, or what it holds if it is a data URL in base64. `media_type` is what else is known of its type.
pub(crate) fn read(url: String, media_type: Option<String>) -> Source {
    match split(&url) {
        Some((own_type, data)) => {
            let own_type = Some(own_type).filter(|own_type| !own_type.is_empty());
            let media_type = own_type.map(str::to_owned).or(media_type).unwrap_or_default();
            Source::Base64 { media_type, data: data.to_owned() }
        }
        None => Source::Url { url, media_type },
    }
}

/// The type and the base64 of a data URL; parameters of the type are left out.
fn split(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next().unwrap_or(media_type), data))
}

pub(crate) fn write(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base64_is_taken_out_of_its_address() {
        let held = |media_type: &str| Source::Base64 { media_type: media_type.into(), data: "iVBO".into() };
        assert_eq!(read("data:image/png;base64,iVBO".into(), None), held("image/png"));
        assert_eq!(read("data:text/csv;charset=utf-8;base64,iVBO".into(), None), held("text/csv"));
        assert_eq!(read("data:;base64,iVBO".into(), Some("image/gif".into())), held("image/gif"));
        for address in ["https://x.example/a,b", "data:text/plain,hello", "data:"] {
            assert_eq!(
                read(address.into(), None),
                Source::Url { url: address.into(), media_type: None },
                "{address}"
            );
        }
    }
}
