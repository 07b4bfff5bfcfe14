<#
.SYNOPSIS
Installs Lodestar on Windows, or upgrades it in place.

  irm https://lodestar.example/releases/latest/download/install.ps1 | iex
  .\install.ps1 [-Version X] [-Dir DIR] [-FromSource]

It downloads the program for this machine, compares its SHA-256 with the release's, starts it once, and only then puts it in its
place. When anything fails nothing is written. It needs no administrator, and changes no file of yours but the program.

LODESTAR_INSTALL_DIR   in the place of -Dir; without either, .local\bin in your home
LODESTAR_BASE_URL      a mirror: what stands before /latest/download/ and /download/vX/, an address or a folder
LODESTAR_TIMEOUT       give up after so many seconds without an answer (30)
#>
param(
    [string]$Version = '',
    [string]$Dir = '',
    [switch]$FromSource
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
# Its bar makes Windows PowerShell download many times slower.
$ProgressPreference = 'SilentlyContinue'

function Get-OrDefault([string]$Value, [string]$Default) {
    if ([string]::IsNullOrEmpty($Value)) { return $Default }
    return $Value
}

function Get-Target {
    # A 32-bit PowerShell on a 64-bit Windows says x86, and the truth in the other variable.
    $architecture = Get-OrDefault $env:PROCESSOR_ARCHITEW6432 $env:PROCESSOR_ARCHITECTURE
    switch ($architecture) {
        'AMD64' { return 'windows-x64' }
        'ARM64' { return 'windows-arm64' }
        default { throw "There is no program for a processor of type $architecture." }
    }
}

# Three attempts, unless the server says that there is no such file.
function Save-Url([string]$Url, [string]$Path) {
    if ($Url -notmatch '^https?://') {
        if (-not (Test-Path -LiteralPath $Url)) { throw "There is no $Url" }
        Copy-Item -LiteralPath $Url -Destination $Path
        return
    }
    for ($attempt = 1; ; $attempt++) {
        try {
            Invoke-WebRequest -Uri $Url -OutFile $Path -UseBasicParsing -TimeoutSec $timeout
            return
        } catch {
            $failure = $_
            $status = 0
            if ($failure.Exception.PSObject.Properties['Response'] -and $failure.Exception.Response) {
                $status = [int]$failure.Exception.Response.StatusCode
            }
            if ($status -eq 404 -or $status -eq 410) { throw "There is no $Url" }
            if ($attempt -ge 3) {
                throw "$Url could not be downloaded: $($failure.Exception.Message) Check the connection, or name a mirror with LODESTAR_BASE_URL."
            }
            Start-Sleep -Seconds 1
        }
    }
}

function Get-Sha256([string]$Path) {
    return (Get-FileHash -LiteralPath $Path -Algorithm SHA256).Hash.ToLowerInvariant()
}

# The SHA-256 that checksums.txt has for a file; empty when it has none.
function Find-Sum([string]$Checksums, [string]$Name) {
    foreach ($line in Get-Content -LiteralPath $Checksums) {
        $sum, $file = $line -split '\s+\*?', 2
        if ($file -eq $Name) { return $sum }
    }
    return ''
}

function Get-Program([string]$Scratch, [string]$Base) {
    $target = Get-Target
    $wanted = $Version -replace '^v', ''
    if ($wanted -eq '') {
        Save-Url "$Base/latest/download/version.txt" "$Scratch\version.txt"
        $wanted = ([string](Get-Content -LiteralPath "$Scratch\version.txt" -TotalCount 1)).Trim()
    }
    if ($wanted -notmatch '^[0-9A-Za-z.+-]+$') { throw "No version is called that: $wanted" }
    $release = "$Base/download/v$wanted"
    Save-Url "$release/checksums.txt" "$Scratch\checksums.txt"
    $name = "lodestar-$target.zip"
    $expected = Find-Sum "$Scratch\checksums.txt" $name
    if ($expected -eq '') { throw "The release of version $wanted has no $name." }
    Write-Host "Downloading Lodestar $wanted for $target"
    Save-Url "$release/$name" "$Scratch\$name"
    $actual = Get-Sha256 "$Scratch\$name"
    if ($actual -ne $expected) {
        throw "$name is not what was published: nothing was installed. SHA-256 expected: $expected, received: $actual"
    }
    Expand-Archive -LiteralPath "$Scratch\$name" -DestinationPath "$Scratch\unpacked"
    return "$Scratch\unpacked\lodestar.exe"
}

function Build-Program {
    $checkout = Get-OrDefault $PSScriptRoot (Get-Location).Path
    if (-not (Test-Path -LiteralPath "$checkout\build.ts")) {
        throw "$checkout is no checkout of Lodestar. Clone the repository, and run .\install.ps1 -FromSource there."
    }
    $manifest = Get-Content -LiteralPath "$checkout\package.json" -Raw | ConvertFrom-Json
    $wanted = $manifest.packageManager -replace '^bun@', ''
    $command = @('npx', '-y', "bun@$wanted")
    if ((Get-Command bun -ErrorAction SilentlyContinue) -and ((& bun --version) -eq $wanted)) { $command = @('bun') }
    elseif (-not (Get-Command npx -ErrorAction SilentlyContinue)) { throw "There is neither Bun $wanted nor npm here." }
    $program = $command[0]
    $first = @($command | Select-Object -Skip 1)
    Write-Host "Building Lodestar with Bun $wanted"
    Push-Location -LiteralPath $checkout
    try {
        foreach ($step in @(@('install', '--frozen-lockfile'), @('run', 'build.ts'))) {
            $words = $first + $step
            & $program @words | Out-Host
            if ($LASTEXITCODE -ne 0) { throw 'The build failed.' }
        }
    } finally {
        Pop-Location
    }
    return "$checkout\dist\lodestar.exe"
}

# A program that runs cannot be written over, but renamed; if the new one does not get there, the old one comes back.
function Move-IntoPlace([string]$Staged, [string]$Program) {
    $aside = "$Program.old-$PID"
    $hadOne = Test-Path -LiteralPath $Program
    if ($hadOne) { Move-Item -LiteralPath $Program -Destination $aside -Force }
    try {
        Move-Item -LiteralPath $Staged -Destination $Program
    } catch {
        if ($hadOne) { Move-Item -LiteralPath $aside -Destination $Program -Force }
        throw
    }
    # What still runs stays until the next upgrade.
    Get-ChildItem -Path "$Program.old-*" | Remove-Item -Force -ErrorAction SilentlyContinue
}

function Show-PathHint([string]$Folder) {
    if (($env:Path -split ';') -contains $Folder) { return }
    Write-Host ''
    Write-Host "$Folder is not on your PATH. To change that, run this, then open a new window:"
    Write-Host "  [Environment]::SetEnvironmentVariable('Path', '$Folder;' + [Environment]::GetEnvironmentVariable('Path', 'User'), 'User')"
}

function Install-Lodestar {
    if ([Environment]::OSVersion.Platform -ne [PlatformID]::Win32NT) { throw 'This script is for Windows; elsewhere use install.sh.' }
    # Windows PowerShell would offer older ones.
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    $base = (Get-OrDefault $env:LODESTAR_BASE_URL 'https://lodestar.example/releases').TrimEnd('/')
    $timeout = [int](Get-OrDefault $env:LODESTAR_TIMEOUT '30')
    $folder = Get-OrDefault $Dir (Get-OrDefault $env:LODESTAR_INSTALL_DIR (Join-Path $HOME '.local\bin'))
    $folder = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($folder)
    $program = Join-Path $folder 'lodestar.exe'
    $scratch = Join-Path ([IO.Path]::GetTempPath()) "lodestar-install-$([Guid]::NewGuid())"
    $staged = Join-Path $folder ".lodestar-$PID.exe"
    $madeFolder = $false
    New-Item -ItemType Directory -Path $scratch | Out-Null
    try {
        if ($FromSource) { $new = Build-Program } else { $new = Get-Program $scratch $base }
        $before = ''
        if (Test-Path -LiteralPath $program) { $before = [string](& $program --version) }
        if (-not (Test-Path -LiteralPath $folder)) {
            New-Item -ItemType Directory -Path $folder | Out-Null
            $madeFolder = $true
        }
        Copy-Item -LiteralPath $new -Destination $staged
        $after = [string](& $staged --version)
        if ($LASTEXITCODE -ne 0 -or $after -notlike 'lodestar *') { throw 'The program does not start here, so it was not installed.' }
        Move-IntoPlace $staged $program
        $madeFolder = $false
        if ($before -eq '') { Write-Host "Installed ${after}: $program" }
        else { Write-Host "Upgraded $before to ${after}: $program" }
        Show-PathHint $folder
    } finally {
        Remove-Item -LiteralPath $scratch -Recurse -Force -ErrorAction SilentlyContinue
        if (Test-Path -LiteralPath $staged) { Remove-Item -LiteralPath $staged -Force -ErrorAction SilentlyContinue }
        if ($madeFolder) { Remove-Item -LiteralPath $folder -Force -ErrorAction SilentlyContinue }
    }
}

# All of it is read before any of it is run.
Install-Lodestar
