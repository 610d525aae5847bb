//! `allowed_model_region`.

/// Places in the European Union that cloud providers name without saying "europe": Azure's regions
/// (learn.microsoft.com/azure/reliability/regions-list, read 2026-11-21).
const EU_PLACES: [&str; 10] =
    ["france", "germany", "sweden", "poland", "italy", "spain", "austria", "belgium", "denmark", "finland"];

/// Regions that are named after Europe and lie outside the Union: AWS's and Google's London and Zurich.
const NOT_EU: [&str; 4] = ["eu-west-2", "eu-central-2", "europe-west2", "europe-west6"];

/// Whether a provider's region lies in what is allowed: `eu`, `us`, or the beginning of a region's name.
pub(crate) fn is_within(region: &str, allowed: &str) -> bool {
    let region = region.to_ascii_lowercase();
    match allowed.to_ascii_lowercase().as_str() {
        "eu" => {
            let named = region.starts_with("eu") || region.contains("europe");
            let placed = EU_PLACES.iter().any(|place| region.contains(place));
            (named || placed) && !NOT_EU.contains(&region.as_str())
        }
        "us" => {
            // Azure says the direction first: `eastus2`, `northcentralus`.
            region.starts_with("us")
                || region.contains("eastus")
                || region.contains("westus")
                || region.contains("centralus")
        }
        allowed => region.starts_with(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_names_are_placed() {
        for region in ["eu", "eu-west-1", "europe-west1", "europe-west12", "westeurope", "swedencentral"] {
            assert!(is_within(region, "eu"), "{region}");
        }
        for region in ["us-east-1", "eastus2", "eu-west-2", "europe-west2", "europe-west6", "uksouth"] {
            assert!(!is_within(region, "eu"), "{region}");
        }
        for region in ["us", "us-east-1", "us-central1", "eastus2", "northcentralus"] {
            assert!(is_within(region, "us"), "{region}");
        }
        assert!(!is_within("australiaeast", "us"));
        assert!(is_within("ap-south-1", "ap-") && !is_within("eu-west-1", "ap-"));
    }
}
