fn main() {
    for p in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&p).unwrap();
        let env = |v: &str| text.contains(&format!("os.environ/{v}")).then(|| "1".to_owned());
        let prov = |_: &str, _: Option<&str>| Ok(());
        let file = |_: &std::path::Path| Err(std::io::Error::other("no"));
        let s = gateway::config::Sources { environment: &env, file: &file, provider: &prov };
        let name = std::path::Path::new(&p).file_name().unwrap().to_owned();
        let l = gateway::config::Config::from_text(name.as_ref(), text.clone(), &s);
        println!("##### {p}\n{}", l.report);
    }
}
