# The steps of action.yml on Windows: the installer that came with this action, into a folder of this job.
$ErrorActionPreference = 'Stop'
$dir = Join-Path $env:RUNNER_TEMP 'lodestar'
$options = @{ Dir = $dir }
if ($env:VERSION) { $options.Version = $env:VERSION }
& (Join-Path $env:GITHUB_ACTION_PATH '../../../install.ps1') @options
Add-Content -Path $env:GITHUB_PATH -Value $dir
$installed = & (Join-Path $dir 'lodestar.exe') --version
Add-Content -Path $env:GITHUB_OUTPUT -Value "version=$($installed -replace '^lodestar ', '')"
