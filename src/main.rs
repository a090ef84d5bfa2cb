//! The program.

use clap::Parser;

#[derive(Parser)]
enum Program {
    /// One service of the demo's shop
    #[command(hide = true)]
    DemoService(runbook::surface::demo::service::Options),
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Program::DemoService(options) = Program::parse();
    runbook::surface::demo::service::serve(options).await
}
