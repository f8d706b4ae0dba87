"""What every stage of both packages uses: errors, files, configs, defaults, how numbers are said."""
